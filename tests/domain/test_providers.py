"""Identity providers, group mappings, linked identities: given the past, when this, then that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from gatebook.domain import federation, group_mapping, identity, provider
from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.provider import Configuration, ProviderSecret
from tests.domain.story import ALICE, BOB, SECOND, given

PROVIDER = UUID("01920000-0000-7000-8000-000000000009")
OTHER = UUID("01920000-0000-7000-8000-00000000000a")
OURS = Configuration(name="Ours", issuer="https://id.example.org", client_id="gatebook")
SECRET = "the client's secret"
CREATED = provider.ProviderCreated(configuration=OURS, secret=ProviderSecret(SECRET))
REMOVED = provider.ProviderRemoved()


def state(*past: provider.Happening) -> provider.Provider:
    """A provider with a past."""
    return given(provider.evolve, provider.Provider(), *past)


def test_created_once() -> None:
    """The whole configuration is recorded, with the secret in its sealed field."""
    assert provider.create(OURS, SECRET, state()) == [CREATED]
    with pytest.raises(Conflict):
        provider.create(OURS, SECRET, state(CREATED))
    assert provider.create(OURS, SECRET, state(CREATED, REMOVED)) == [CREATED]
    assert CREATED.key_name(PROVIDER) == f"provider:{PROVIDER}"


def test_changed_as_a_whole() -> None:
    """Another field or secret is the whole configuration anew; the same again is nothing."""
    other = replace(OURS, name="Other")
    [changed] = provider.change(other, None, state(CREATED))
    assert changed == provider.ProviderChanged(configuration=other, secret=ProviderSecret(SECRET))
    assert state(CREATED, changed) == provider.Provider(other, SECRET)
    [rotated] = provider.change(OURS, "new", state(CREATED))
    assert state(CREATED, rotated) == provider.Provider(OURS, "new")
    assert provider.change(OURS, None, state(CREATED)) == []
    assert provider.change(OURS, SECRET, state(CREATED)) == []


def test_what_cannot_be_changed() -> None:
    """The issuer; a provider that is not there; one whose secret was lost, until one is given."""
    with pytest.raises(Conflict):
        provider.change(replace(OURS, issuer="https://evil.example"), None, state(CREATED))
    for past in ((), (CREATED, REMOVED)):
        with pytest.raises(NotFound):
            provider.change(OURS, "new", state(*past))
    lost = state(provider.ProviderCreated(configuration=OURS, secret=None))
    with pytest.raises(InvalidValue) as refused:
        provider.change(OURS, None, lost)
    assert refused.value.pointer == "/client_secret"
    assert len(provider.change(OURS, SECRET, lost)) == 1


def test_removed_when_nothing_depends_on_it() -> None:
    """Neither a linked account nor a mapping is left behind."""
    assert provider.remove(0, 0, state(CREATED)) == [REMOVED]
    for linked, mapped, why in ((1, 0, "linked"), (0, 1, "mappings"), (2, 3, "linked")):
        with pytest.raises(Conflict) as refused:
            provider.remove(linked, mapped, state(CREATED))
        assert why in refused.value.detail
    with pytest.raises(NotFound):
        provider.remove(0, 0, state(CREATED, REMOVED))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "two\nlines"),
        ("issuer", "ftp://id.example.org"),
        ("issuer", "id.example.org"),
        ("issuer", "https://id.example.org/?tenant=1"),
        ("issuer", "https://id.example.org/#x"),
        ("issuer", "https://" + "x" * 493),
        ("client_id", ""),
        ("client_id", "x" * 501),
        ("client_auth", "none"),
        ("client_auth", "private_key_jwt"),
        ("scopes", ()),
        ("scopes", ("profile",)),
        ("scopes", ("openid", "a b")),
        ("scopes", ("openid", 'a"b')),
        ("scopes", ("openid", "a\\b")),
        ("scopes", ("openid", "é")),
        ("scopes", ("openid", "")),
        ("scopes", ("openid", *(f"s{n}" for n in range(30)))),
        ("groups_claim", ""),
        ("groups_claim", "."),
        ("groups_claim", "a..b"),
        ("groups_claim", "a."),
        ("groups_claim", "a\nb"),
        ("groups_claim", "x" * 201),
        ("allowed_domains", ("",)),
        ("allowed_domains", ("Example.org",)),
        ("allowed_domains", ("*.example.org",)),
        ("allowed_domains", ("@example.org",)),
        ("allowed_domains", ("example.org.",)),
        ("allowed_domains", ("-example.org",)),
        ("allowed_domains", ("example.org\n",)),
        ("allowed_domains", ("localhost",)),
        ("allowed_domains", tuple(f"d{n}.example" for n in range(101))),
        ("iat_window", 0),
        ("iat_window", SECOND - 1),
        ("iat_window", 600 * SECOND + 1),
    ],
)
def test_what_can_never_work(field: str, bad: object) -> None:
    """Each bad value is refused by the name of its field, when created and when changed."""
    changes: dict[str, Any] = {field: bad}
    wrong = replace(OURS, **changes)
    with pytest.raises(InvalidValue) as refused:
        provider.create(wrong, SECRET, state())
    assert refused.value.pointer == f"/{field}"
    with pytest.raises(InvalidValue):
        provider.change(wrong, None, state(CREATED))


@pytest.mark.parametrize(
    "changes",
    [
        {"groups_claim": "https://example.org/groups"},
        {"groups_claim": "realm_access.roles"},
        {"issuer": "http://127.0.0.1:9000"},
        {"issuer": "https://id.example.org/realms/main"},
        {"scopes": ("openid",)},
        {"allowed_domains": ("example.org", "xn--bcher-kva.example", "a.b.example")},
        {"iat_window": SECOND},
        {"iat_window": 600 * SECOND},
        {"at_hash_required": False},
    ],
)
def test_what_works(changes: dict[str, Any]) -> None:
    """The edges of each rule are inside."""
    assert len(provider.create(replace(OURS, **changes), SECRET, state())) == 1


def test_bad_secrets() -> None:
    """Empty, or longer than any provider gives out."""
    for bad in ("", "x" * 2001):
        with pytest.raises(InvalidValue) as refused:
            provider.create(OURS, bad, state())
        assert refused.value.pointer == "/client_secret"


# --- group mappings


ADDED = group_mapping.GroupMappingAdded(provider_id=PROVIDER, group="staff", role="viewer")
ENDED = group_mapping.GroupMappingRemoved(provider_id=PROVIDER)


def mapping(*past: group_mapping.Happening) -> group_mapping.GroupMapping:
    """A mapping with a past."""
    return given(group_mapping.evolve, group_mapping.GroupMapping(), *past)


def test_mapped_once() -> None:
    """Added, refused while it stands, ended once, added again."""
    assert group_mapping.add(PROVIDER, "staff", "viewer", mapping()) == [ADDED]
    with pytest.raises(Conflict):
        group_mapping.add(PROVIDER, "staff", "viewer", mapping(ADDED))
    assert group_mapping.remove(mapping(ADDED)) == [ENDED]
    for past in ((), (ADDED, ENDED)):
        with pytest.raises(NotFound):
            group_mapping.remove(mapping(*past))
        assert group_mapping.add(PROVIDER, "staff", "viewer", mapping(*past)) == [ADDED]


@pytest.mark.parametrize("bad", ["", "x" * 501, "two\nlines", "nul\0"])
def test_what_is_no_group(bad: str) -> None:
    """A group is one printable line of bounded length."""
    with pytest.raises(InvalidValue) as refused:
        group_mapping.add(PROVIDER, bad, "viewer", mapping())
    assert refused.value.pointer == "/group"


_TEXTS = st.text(max_size=20)
_THREE = st.tuples(st.sampled_from([PROVIDER, OTHER]), _TEXTS, _TEXTS)


@given_any(_THREE, _THREE)
def test_one_stream_for_the_same_three(
    one: tuple[UUID, str, str], two: tuple[UUID, str, str]
) -> None:
    """Provider, group and role make the stream: the same make the same, others another."""
    assert (group_mapping.stream_id(*one) == group_mapping.stream_id(*two)) == (one == two)


# --- identities


SUBJECT = identity.Subject("https://id.example.org", "alice-1")
LINKED = identity.IdentityLinked(account_id=ALICE, provider_id=PROVIDER, subject=SUBJECT)
UNLINKED = identity.IdentityUnlinked(account_id=ALICE, provider_id=PROVIDER)


def link(*past: identity.Happening) -> identity.Identity:
    """An identity with a past."""
    return given(identity.evolve, identity.Identity(), *past)


def test_linked_to_one_account() -> None:
    """To nobody else while it is, to anybody after."""
    assert identity.link(ALICE, PROVIDER, SUBJECT, link()) == [LINKED]
    for account_id in (ALICE, BOB):
        with pytest.raises(Conflict):
            identity.link(account_id, PROVIDER, SUBJECT, link(LINKED))
    assert identity.unlink(link(LINKED)) == [UNLINKED]
    [again] = identity.link(BOB, PROVIDER, SUBJECT, link(LINKED, UNLINKED))
    assert link(LINKED, UNLINKED, again) == identity.Identity(BOB, PROVIDER)
    for past in ((), (LINKED, UNLINKED)):
        with pytest.raises(NotFound):
            identity.unlink(link(*past))


def test_an_erased_link_folds() -> None:
    """Without the person's key the subject is gone; that there is a link is not."""
    erased = identity.IdentityLinked(account_id=ALICE, provider_id=PROVIDER, subject=None)
    assert link(erased) == link(LINKED)
    assert identity.IdentityLinked.PERSONAL == "subject"


def test_streams_at_the_door() -> None:
    """Failures have one stream a provider and hour; sign-ins and logout tokens one each."""
    failures = federation.failures_stream_id
    assert failures(PROVIDER, 1) == failures(PROVIDER, 1)
    assert len({failures(p, h) for p in (PROVIDER, OTHER, None) for h in (1, 2)}) == 6
    assert federation.login_stream_id(b"a") != federation.login_stream_id(b"b")
    logout = federation.logout_stream_id
    assert len({logout(p, jti) for p in (PROVIDER, OTHER) for jti in ("1", "2")}) == 4
