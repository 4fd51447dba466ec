"""API keys and OAuth 2 clients: given the past, when this, then that."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatebook.domain import api_key, client
from gatebook.domain.errors import Conflict
from tests.domain.story import ALICE, NOON

NEXT = UUID(int=9)
ORDER = api_key.Order(ALICE, b"\x01" * 32, "ci", "accounts.read", None)


def folded(*events):
    state = api_key.ApiKey()
    for event in events:
        state = api_key.evolve(state, event)
    return state


def created(expires_at=None):
    order = api_key.Order(ALICE, b"\x01" * 32, "ci", "accounts.read", expires_at)
    return api_key.create(order)


def test_a_key_counts_until_it_ends():
    """Before its instant and not from then on; without an end, always."""
    assert folded(*created(NOON)).live(NOON - 1)
    assert not folded(*created(NOON)).live(NOON)
    assert folded(*created()).live(NOON)
    assert not folded().live(NOON)


def test_what_is_shown_is_what_is_parsed():
    """A key is found again by its id and the hash of its secret, and by nothing near it."""
    key = api_key.text(NEXT, bytes(range(32)))
    assert api_key.parse(key) == (NEXT, api_key.digest_of(key.rpartition("_")[2]))
    for wrong in (key + "A", key[:-1], key.upper(), " " + key, key + "\n", "", "gbk_"):
        assert api_key.parse(wrong) is None


@given(st.text(max_size=120))
def test_no_other_text_is_a_key(text):
    """Whatever is typed, parsing refuses or yields an id and a hash."""
    parsed = api_key.parse(text)
    assert parsed is None or (isinstance(parsed[0], UUID) and len(parsed[1]) == 32)


@pytest.mark.parametrize(("own", "asked", "end"), [(None, 5, 5), (3, 5, 3), (9, 5, 5)])
def test_rotation_never_prolongs(own, asked, end):
    """The old key ends when it is told to, or at its own end if that is before."""
    state = folded(*created(None if own is None else NOON + own))
    assert api_key.rotate(NEXT, NOON + asked, NOON, state) == [
        api_key.ApiKeyRotated(account_id=ALICE, successor=NEXT, expires_at=NOON + end)
    ]


def test_what_cannot_be_rotated():
    """A key that has ended, was revoked, or is followed already."""
    once = (*created(), *api_key.rotate(NEXT, NOON + 9, NOON, folded(*created())))
    gone = (*created(), *api_key.revoke(folded(*created())))
    for past in ((), created(NOON), once, gone):
        with pytest.raises(Conflict):
            api_key.rotate(NEXT, NOON + 9, NOON, folded(*past))


def test_revoking_twice_records_once():
    """And what never was is not revoked."""
    gone = (*created(), *api_key.revoke(folded(*created())))
    assert not folded(*gone).live(NOON)
    assert api_key.revoke(folded(*gone)) == []
    assert api_key.revoke(folded()) == []


def test_an_erased_key_folds():
    """Once the person's key is destroyed the event has no secret, and still folds."""
    event = api_key.ApiKeyCreated(account_id=ALICE, secret=None, scope="", expires_at=None)
    assert folded(event).name == ""


def test_a_client_is_configured_once():
    """The same configuration again records nothing; removing it leads back to the defaults."""
    wanted = client.Client(configured=True, scopes=("read",))
    (event,) = client.configure(ALICE, wanted, client.Client())
    state = client.evolve(client.Client(), event)
    assert state == wanted
    assert client.configure(ALICE, wanted, state) == []
    (removed,) = client.remove(ALICE, state)
    assert client.evolve(state, removed) == client.Client()
    assert client.remove(ALICE, client.Client()) == []
