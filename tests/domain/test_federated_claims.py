"""What is believed of what a provider says: laws over whatever it may send, and the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatebook.domain import federated_claims
from gatebook.domain.federated_claims import MOST_GROUPS, FederationRefused
from gatebook.domain.federation import REASONS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["groups", "a", "b", "sub", "email", "email_verified", "name", "amr"])
    | st.text(max_size=4),
    JSON,
)
PATHS = st.sampled_from(["groups", "a.b", "a.groups", "a", "https://example.org/groups"])


def outcome(read: Callable[[], Any]) -> Any:
    """What was read, or "refused: " and the reason."""
    try:
        return read()
    except FederationRefused as refused:
        return f"refused: {refused.reason}"


def reason_of(refused: pytest.ExceptionInfo[FederationRefused]) -> str:
    """Why it was refused, which is one of the closed list."""
    assert refused.value.reason in REASONS
    return refused.value.reason


@given(CLAIMS, PATHS)
def test_groups_are_strings_or_none_or_refused(claims: dict[str, Any], path: str) -> None:
    """Whatever is sent: a tuple of non-empty strings, each once; None; or a refusal."""
    found = outcome(lambda: federated_claims.groups(claims, path))
    if isinstance(found, str):
        assert found == "refused: groups_malformed"
        return
    assert found is None or (isinstance(found, tuple) and len(found) == len(set(found)))
    assert all(isinstance(one, str) and one for one in found or ())


@given(st.lists(st.text(min_size=1, max_size=6), max_size=20))
def test_a_list_of_groups_is_those_groups(sent: list[str]) -> None:
    """In their order, each once."""
    assert federated_claims.groups({"groups": sent}, "groups") == tuple(dict.fromkeys(sent))


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"groups": "staff"}, "groups", ("staff",)),
        ({"groups": []}, "groups", ()),
        ({}, "groups", None),
        ({"groups": None}, "groups", None),
        ({"realm_access": {"roles": ["x"]}}, "realm_access.roles", ("x",)),
        ({"realm_access": {}}, "realm_access.roles", None),
        ({"realm_access.roles": ["x"]}, "realm_access.roles", None),
        ({"https://example.org/groups": ["x"]}, "https://example.org/groups", ("x",)),
        ({"https://example": {"org/groups": ["x"]}}, "https://example.org/groups", None),
        ({"hd": "example.org"}, "hd", ("example.org",)),
    ],
)
def test_where_groups_are_found(
    claims: dict[str, Any], path: str, found: tuple[str, ...] | None
) -> None:
    """By a dotted path, or by a URL as the claim's own name; absent is not empty."""
    assert federated_claims.groups(claims, path) == found


def test_as_many_groups_as_are_taken() -> None:
    """The most are taken whole."""
    most = [str(n) for n in range(MOST_GROUPS)]
    assert federated_claims.groups({"groups": most}, "groups") == tuple(most)


@pytest.mark.parametrize(
    "sent",
    [
        1,
        1.5,
        True,
        False,
        "",
        {},
        {"staff": True},
        [""],
        ["staff", ""],
        ["staff", 1],
        ["staff", None],
        [["staff"]],
        [{"name": "staff"}],
        [str(n) for n in range(MOST_GROUPS + 1)],
    ],
)
def test_groups_that_fail_closed(sent: object) -> None:
    """Nothing odd is guessed at."""
    with pytest.raises(FederationRefused) as refused:
        federated_claims.groups({"groups": sent}, "groups")
    assert reason_of(refused) == "groups_malformed"


def test_a_path_through_what_is_no_object() -> None:
    """A list or a string on the way is no way."""
    for between in (["roles"], "roles", 1, True):
        with pytest.raises(FederationRefused):
            federated_claims.groups({"a": between}, "a.roles")


@given(CLAIMS, st.lists(st.sampled_from(["example.org", "a.example"]), max_size=2))
def test_an_address_is_verified_and_allowed(claims: dict[str, Any], domains: list[str]) -> None:
    """Whatever is sent: a verified address of an allowed domain, "", or a refusal."""
    found = outcome(lambda: federated_claims.email(claims, domains))
    if found.startswith("refused: "):
        assert domains
        return
    if found:
        assert claims["email_verified"] is True
        assert claims["email"] == found
    assert not domains or found.rpartition("@")[2].lower() in domains


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_other_domain(local: str, domain: str) -> None:
    """An address with any other domain is refused where they are restricted."""
    claims = {"email": f"{local}@{domain}", "email_verified": True}
    assume(domain.lower() != "example.org")
    with pytest.raises(FederationRefused):
        federated_claims.email(claims, ["example.org"])


@pytest.mark.parametrize(
    ("address", "verified", "reason"),
    [
        (None, True, "email_missing"),
        (1, True, "email_missing"),
        ("alice", True, "email_missing"),
        ("a@b@example.org", True, "email_missing"),
        ("@example.org", True, "email_missing"),
        ("alice@", True, "email_missing"),
        ("al\nice@example.org", True, "email_missing"),
        ("x" * 243 + "@example.org", True, "email_missing"),
        ("alice@example.org", False, "email_not_verified"),
        ("alice@example.org", None, "email_not_verified"),
        ("alice@example.org", "true", "email_not_verified"),
        ("alice@example.org", 1, "email_not_verified"),
        ("alice@sub.example.org", True, "email_domain_not_allowed"),
        ("alice@example.org.evil.example", True, "email_domain_not_allowed"),
        ("alice@notexample.org", True, "email_domain_not_allowed"),
        ("alice@example.org ", True, "email_domain_not_allowed"),
    ],
)
def test_addresses_that_fail_closed(address: object, verified: object, reason: str) -> None:
    """Each with its reason; without restricted domains none of them is an error."""
    claims = {"email": address, "email_verified": verified}
    with pytest.raises(FederationRefused) as refused:
        federated_claims.email(claims, ["example.org"])
    assert reason_of(refused) == reason
    free = federated_claims.email(claims, [])
    assert free == (address if reason == "email_domain_not_allowed" else "")


def test_an_address_in_capitals() -> None:
    """The domain is compared without regard to case, and the address is left as it is."""
    claims = {"email": "Alice@EXAMPLE.org", "email_verified": True}
    assert federated_claims.email(claims, ["example.org"]) == "Alice@EXAMPLE.org"


@given(JSON)
def test_a_subject_is_a_line_or_refused(sent: object) -> None:
    """A string of 1 to 255 printable characters, and nothing else."""
    good = isinstance(sent, str) and 1 <= len(sent) <= 255 and sent.isprintable()
    if good:
        assert federated_claims.subject({"sub": sent}) == sent
        return
    with pytest.raises(FederationRefused) as refused:
        federated_claims.subject({"sub": sent})
    assert reason_of(refused) == "subject_missing"


def test_the_longest_subject() -> None:
    """255 characters are a subject, 256 are none, and none at all is none."""
    assert federated_claims.subject({"sub": "x" * 255}) == "x" * 255
    claims: list[dict[str, Any]] = [{"sub": "x" * 256}, {}]
    for one in claims:
        with pytest.raises(FederationRefused):
            federated_claims.subject(one)


@given(JSON, st.integers(1, 20))
def test_what_is_shown_is_one_short_line(sent: object, longest: int) -> None:
    """Printable, no longer than asked for, without blanks around it; else nothing."""
    shown = federated_claims.line({"name": sent}, "name", longest)
    assert shown.isprintable()
    assert len(shown) <= longest
    assert shown == shown.strip()
    assert isinstance(sent, str) or shown == ""


@given(JSON)
def test_methods_are_words(sent: object) -> None:
    """At most ten ASCII words, whatever is sent."""
    found = federated_claims.methods({"amr": sent})
    assert len(found) <= 10
    assert all(one.isascii() and one.isidentifier() for one in found)


def test_methods_of_a_list() -> None:
    """Words stay, what is no word goes; a list with anything but strings is nothing."""
    assert federated_claims.methods({"amr": ["pwd", "mfa", "a b", ""]}) == ("pwd", "mfa")
    assert federated_claims.methods({"amr": ["pwd", 1]}) == ()
    assert federated_claims.methods({"amr": "pwd"}) == ()
    assert federated_claims.methods({}) == ()


def test_a_refusal_says_why_and_whose() -> None:
    """The reason for the log; the detail when there is one."""
    assert str(FederationRefused("groups_missing")) == "groups_missing"
    assert str(FederationRefused("groups_missing", "roles")) == "groups_missing: roles"
