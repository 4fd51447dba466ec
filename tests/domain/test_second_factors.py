"""Recovery codes, the factors an account has, and the sign-in that waits for one of them."""

from __future__ import annotations

import pytest
from hypothesis import given as sampled
from hypothesis import strategies as st

from gatebook.domain import challenge, factors, recovery_codes
from gatebook.domain.challenge import Challenge, MfaChallenged, MfaCompleted, Standing
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.factors import Factors
from gatebook.domain.proofs import PASSWORD
from gatebook.domain.recovery_codes import CodeHashes, RecoveryCodes
from tests.domain.story import ALICE, MINUTE, NOON, given

HASHES = tuple(bytes([n]) * 32 for n in range(10))
GENERATED = recovery_codes.RecoveryCodesGenerated(account_id=ALICE, secret=CodeHashes(HASHES))


def used(index):
    return recovery_codes.RecoveryCodeUsed(account_id=ALICE, index=index)


@sampled(st.binary(min_size=7, max_size=7))
def test_a_code_is_read_however_it_is_typed(random):
    """Case, dashes and spaces say nothing; what looks alike is read alike."""
    code = recovery_codes.code(random)
    plain = recovery_codes.normalised(code)

    assert plain == code.replace("-", "")
    assert recovery_codes.normalised(f" {code.lower()} ") == plain
    assert recovery_codes.normalised(code.replace("1", "l").replace("0", "O")) == plain


@sampled(st.lists(st.binary(min_size=7, max_size=7), min_size=2, max_size=2, unique=True))
def test_fifty_bits_tell_codes_apart(pair):
    """Two codes are the same only if the fifty bits that are used are."""
    same = pair[0][:6] == pair[1][:6] and pair[0][6] >> 6 == pair[1][6] >> 6
    assert (recovery_codes.code(pair[0]) == recovery_codes.code(pair[1])) is same


@pytest.mark.parametrize(
    "typed", ["", "AAAAA", "AAAAA-AAAAA-A", "UUUUU-UUUUU", "\uff21AAAA-AAAAA", "é"]
)
def test_what_cannot_be_a_code(typed):
    """Wrong length, letters that are not in the alphabet, other scripts."""
    assert recovery_codes.normalised(typed) is None


def test_each_code_once_and_the_tail_is_enough():
    """Used codes are known, and the last events of the stream are the whole state."""
    past = [GENERATED, *(used(n) for n in range(10))]
    state = given(recovery_codes.evolve, RecoveryCodes(), *past)
    tail = past[-recovery_codes.TAIL :]

    assert state.left == 0
    assert given(recovery_codes.evolve, RecoveryCodes(), *tail) == state
    assert state.index(HASHES[4]) == 4
    assert state.index(b"\xff" * 32) is None


def test_a_new_set_voids_the_former():
    """What was used of the old set is forgotten with it."""
    state = given(recovery_codes.evolve, RecoveryCodes(), GENERATED, used(1), GENERATED)
    assert (state.left, state.used) == (10, frozenset())
    removed = recovery_codes.RecoveryCodesRemoved(account_id=ALICE, cause="operator")
    assert recovery_codes.evolve(state, removed) == RecoveryCodes()


def test_uses_without_their_set_are_nothing():
    """A tail that begins after the set holds no code."""
    removed = recovery_codes.RecoveryCodesRemoved(account_id=ALICE, cause="operator")
    assert given(recovery_codes.evolve, RecoveryCodes(), used(3), removed) == RecoveryCodes()


def test_recovery_codes_alone_are_no_factor():
    """They stand in for a factor; without one none is due."""
    assert not Factors(recovery_codes=10).due
    assert Factors(totp=True).due
    assert Factors(passkeys=(b"1",)).due
    assert Factors(True, 3, (b"1",)).methods == ["totp", "recovery_code", "passkey"]
    assert Factors(True, 0, ()).methods == ["totp"]


def test_a_change_is_recorded_once():
    """Nothing is recorded when nothing changes; the last event is the whole state."""
    wanted = Factors(True, 9, (b"1", b"2"))
    [event] = factors.become(ALICE, wanted, Factors())
    assert factors.evolve(Factors(), event) == wanted
    assert factors.become(ALICE, wanted, wanted) == []


BEGUN = MfaChallenged(
    account_id=ALICE,
    proofs=("password",),
    methods=("totp",),
    epoch=3,
    password_version=2,
    failures_before=1,
    expires_at=NOON + 5 * MINUTE,
)
STANDING = Standing(active=True, epoch=3, password_version=2, password_locked=False)


def test_a_challenge_can_be_finished_in_time():
    """As long as nothing changed, until its end."""
    state = challenge.evolve(Challenge(), BEGUN)
    assert state.proofs == (PASSWORD,)
    challenge.check(state, STANDING, NOON + 5 * MINUTE - 1)


@pytest.mark.parametrize(
    "standing",
    [
        Standing(active=False, epoch=3, password_version=2, password_locked=False),
        Standing(active=True, epoch=4, password_version=2, password_locked=False),
        Standing(active=True, epoch=3, password_version=3, password_locked=False),
        Standing(active=True, epoch=3, password_version=2, password_locked=True),
    ],
)
def test_what_changed_meanwhile_ends_it(standing):
    """Deactivation, an epoch, a password, a lock: each holds though it came after."""
    with pytest.raises(InvalidCredentials):
        challenge.check(challenge.evolve(Challenge(), BEGUN), standing, NOON)


def test_late_finished_or_never_begun():
    """A challenge counts once, for five minutes."""
    state = challenge.evolve(Challenge(), BEGUN)
    done = challenge.evolve(state, MfaCompleted(account_id=ALICE, method="totp"))
    for over, at in ((state, NOON + 5 * MINUTE), (done, NOON), (Challenge(), NOON)):
        with pytest.raises(InvalidCredentials):
            challenge.check(over, STANDING, at)
