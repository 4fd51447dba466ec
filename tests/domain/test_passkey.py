"""A passkey's count and backup state, and the challenges of its ceremonies."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as sampled
from hypothesis import strategies as st

from gatebook.domain import passkey
from gatebook.domain.application.passkey_challenges import LIFETIME, PasskeyChallenges
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.passkey import Assertion, Passkey, PasskeyName, Uses
from tests.domain.story import ALICE, BOB, NOON, SESSION, given

REGISTERED = passkey.PasskeyRegistered(
    account_id=ALICE,
    named=PasskeyName("phone"),
    credential_id=b"id",
    public_key=b"key",
    sign_count=3,
    backup_eligible=True,
    backed_up=False,
    user_verified=True,
    aaguid="",
    attestation="none",
    transports=(),
)
REMOVED = passkey.PasskeyRemoved(account_id=ALICE, cause="owner")


def asserted(count=0, *, backed_up=False):
    return Assertion(
        sign_count=count, backup_eligible=True, backed_up=backed_up, user_verified=True
    )


def test_a_passkey_counts_from_registration_to_removal():
    """What it is stays known after its removal; its name goes with its owner's key."""
    live = given(passkey.evolve, Passkey(), REGISTERED)
    assert (live.live, live.account_id, live.name, live.first) == (True, ALICE, "phone", Uses(3))
    assert not given(passkey.evolve, Passkey(), REGISTERED, REMOVED).live
    nameless = passkey.PasskeyRegistered(
        **{name: getattr(REGISTERED, name) for name in REGISTERED.__struct_fields__}
        | {"named": None}
    )
    assert given(passkey.evolve, Passkey(), nameless).name is None


@sampled(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_count_grows_or_there_is_none(stored, received):
    """Section 7.2, step 24, for every pair of counts."""
    accepted = passkey.counted(asserted(received), Uses(stored))
    assert accepted is (received > stored or stored == received == 0)


def test_the_last_use_is_the_whole_state():
    """A use, a change of backup and a refused copy each say all that counts."""
    events = passkey.use(ALICE, asserted(9, backed_up=True), Uses(3))
    assert [event.type for event in events] == ["passkey.backup_changed", "passkey.used"]
    suspected = passkey.PasskeyCloneSuspected(
        account_id=ALICE, sign_count=9, backed_up=True, received=4
    )
    past = [*events, suspected]
    for count in range(1, len(past) + 1):
        whole = given(passkey.evolve_uses, Uses(), *past[:count])
        assert given(passkey.evolve_uses, Uses(), past[count - 1]) == whole
    assert given(passkey.evolve_uses, Uses(), *past) == Uses(9, backed_up=True)


class Application:
    """As much of the application as challenges need. `spent`: streams that have an event."""

    def __init__(self) -> None:
        self.spent: set[UUID] = set()
        self.ids = SimpleNamespace(secret=lambda size: bytes(range(size)))
        self.keys = SimpleNamespace(derive=self.derive)

    def derive(self, *parts: Any) -> bytes:
        return hashlib.sha256(repr(parts).encode()).digest()

    def version(self, stream_id: UUID) -> int:
        return int(stream_id in self.spent)


@pytest.fixture
def application():
    return Application()


@pytest.fixture
def challenges(application):
    return PasskeyChallenges(application)


def test_a_challenge_is_spent_by_one_event(application, challenges):
    """The first event of a stream of its own; once it is there, the challenge is no more."""
    challenge = challenges.fresh("login", None, NOON)
    [entry] = challenges.spend(challenge, "login", None, ALICE, NOON + LIFETIME - 1)
    assert (entry.originator_version, entry.event.purpose) == (1, "login")
    application.spent.add(entry.originator_id)
    with pytest.raises(InvalidCredentials):
        challenges.spend(challenge, "login", None, ALICE, NOON)


@pytest.mark.parametrize(
    ("purpose", "bound", "at"),
    [
        ("login", SESSION, NOON + LIFETIME),
        ("register", SESSION, NOON + LIFETIME),
        ("login", SESSION, NOON),
        ("second-factor", SESSION, NOON),
        ("register", None, NOON),
        ("register", BOB, NOON),
    ],
)
def test_a_challenge_counts_in_its_place_for_ten_minutes(challenges, purpose, bound, at):
    """Another ceremony, another session, or too late: refused."""
    challenge = challenges.fresh("register", SESSION, NOON)
    with pytest.raises(InvalidCredentials):
        challenges.spend(challenge, purpose, bound, ALICE, at)


def test_no_byte_of_a_challenge_may_differ(challenges):
    """Its end cannot be moved, nor anything else."""
    challenge = challenges.fresh("login", None, NOON)
    others = [
        challenge[:place] + bytes([challenge[place] ^ 1]) + challenge[place + 1 :]
        for place in range(len(challenge))
    ]
    for other in (*others, b"", challenge[1:], challenge + b"\0"):
        with pytest.raises(InvalidCredentials):
            challenges.spend(other, "login", None, ALICE, NOON)
