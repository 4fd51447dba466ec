"""Attempts and lockouts, sessions, tokens, signing keys, remembered answers, the policy."""

from __future__ import annotations

import pytest

from gatebook.domain import attempts, idempotency, password, policy, session, signing_keys, token
from gatebook.domain.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidCredentials,
    NotFound,
    Remembered,
)
from gatebook.domain.policy import Lockout
from gatebook.domain.proofs import PASSWORD
from tests.domain.story import ALICE, HOUR, JTI, MINUTE, NOON, SECOND, SESSION, given

LOCKOUT = Lockout(threshold=5, duration=15 * MINUTE, reset=HOUR)


COUNTER = attempts.Counter(ALICE, "password")


def fail(state, at=NOON):
    """One more wrong password."""
    failure = attempts.Failure("wrong-password", matched=False, at=at, lockout=LOCKOUT, policy=1)
    [event] = attempts.fail(COUNTER, failure, state)
    return event


def failures(count, at=NOON):
    """The state after some wrong passwords."""
    state = attempts.Attempts()
    for _ in range(count):
        state = attempts.evolve(state, fail(state, at))
    return state


def test_the_fifth_failure_locks_until_a_fixed_instant():
    """Four failures count; the fifth says until when."""
    assert failures(4) == attempts.Attempts(4, NOON, None)
    assert failures(5) == attempts.Attempts(5, NOON, NOON + 15 * MINUTE)


def test_a_lock_ends_at_its_instant():
    """Locked before the instant, not at it."""
    assert failures(5).locked(NOON + 15 * MINUTE - 1)
    assert not failures(5).locked(NOON + 15 * MINUTE)


def test_after_a_lock_the_count_starts_again():
    """The first failure after a lock is the first of a new count."""
    assert fail(failures(5), NOON + 15 * MINUTE).failures == 1


def test_old_failures_are_forgotten():
    """A failure an hour after the last one is the first; a moment earlier it is not."""
    assert fail(failures(4), NOON + HOUR).failures == 1
    assert fail(failures(4), NOON + HOUR - 1).failures == 5


def test_the_last_event_is_the_whole_state():
    """Folding only the tail of a long stream gives the state of the whole."""
    state, past = attempts.Attempts(), []
    for number in range(40):
        event = fail(state, NOON + number * 20 * MINUTE)
        past.append(event)
        state = attempts.evolve(state, event)
    assert given(attempts.evolve, attempts.Attempts(), *past[-attempts.TAIL :]) == state


def test_clearing_is_recorded_when_there_is_something_to_forget():
    """A success after failures clears; a success after none records nothing."""
    assert attempts.clear(COUNTER, "success", attempts.Attempts()) == []
    [event] = attempts.clear(COUNTER, "success", failures(3))
    assert attempts.evolve(failures(3), event) == attempts.Attempts()


def test_each_device_and_address_has_a_stream_of_its_own():
    """What is counted apart is folded from other streams."""
    counters = [
        COUNTER,
        attempts.Counter(ALICE, "totp"),
        attempts.Counter(ALICE, "password", "device", b"1"),
        attempts.Counter(ALICE, "password", "device", b"2"),
        attempts.Counter(ALICE, "password", "address", b"1"),
    ]
    assert len({counter.stream_id for counter in counters}) == len(counters)


def test_refusals_while_locked_change_nothing():
    """A summary is for the reader; the lock stands as it was."""
    summary = attempts.LoginRefusedWhileLocked(
        account_id=ALICE, method="password", count=9, first_at=NOON, last_at=NOON
    )
    assert attempts.evolve(failures(5), summary) == failures(5)


def test_a_password_is_the_last_one_set():
    """Setting and rehashing replace; an erased secret is no password."""
    first = password.new(ALICE, "phc-1", "created")
    second = password.PasswordRehashed(account_id=ALICE, secret=password.PasswordSecret("phc-2"))
    gone = password.PasswordSet(account_id=ALICE, secret=None, origin="reset")
    assert given(password.evolve, password.Password(), first, second).phc == "phc-2"
    assert given(password.evolve, password.Password(), first, gone).phc is None


TOKENS = session.Tokens(JTI, "kid", NOON + 15 * MINUTE)
OPENING = session.Opening(
    account_id=ALICE,
    epoch=2,
    origin="login",
    proofs=(PASSWORD,),
    at=NOON,
    lifetime=HOUR,
    failures_before=0,
    policy=1,
    tokens=TOKENS,
)
SUCCEEDED = session.LoginSucceeded(
    account_id=ALICE, proofs=("password",), failures_before=0, policy=1
)
OPENED = session.SessionOpened(
    account_id=ALICE,
    epoch=2,
    origin="login",
    amr=("pwd",),
    acr="aal1",
    auth_time=NOON,
    expires_at=NOON + HOUR,
    idle=None,
    tokens=TOKENS,
)


def opened(*past):
    """A session with a past."""
    return given(session.evolve, session.Session(), SUCCEEDED, OPENED, *past)


def renew(**changes):
    """Showing the current refresh token."""
    given_ = {
        "rotation": 0,
        "successor": TOKENS,
        "account_epoch": 2,
        "account_active": True,
        "at": NOON,
    }
    return session.Renew(**(given_ | changes))


def test_a_refresh_token_rotates():
    """The current token is swapped for the next."""
    [event] = session.renew(renew(), opened())
    assert event == session.SessionRotated(account_id=ALICE, tokens=TOKENS)
    assert opened(event).rotations == 1


def test_a_used_refresh_token_ends_the_family():
    """Showing a token that was swapped before records the reuse and ends the session."""
    rotated = opened(session.SessionRotated(account_id=ALICE, tokens=TOKENS))
    events = session.renew(renew(rotation=0), rotated)
    assert [event.type for event in events] == ["token.reuse_detected", "session.ended"]
    assert not given(session.evolve, rotated, *events).live


@pytest.mark.parametrize(
    ("past", "changes"),
    [
        ([session.SessionEnded(account_id=ALICE, cause="logout")], {}),
        ([], {"account_active": False}),
        ([], {"account_epoch": 3}),
        ([], {"at": NOON + HOUR}),
    ],
)
def test_a_refresh_token_that_does_not_count(past, changes):
    """Ended, inactive, another epoch, expired: refused, and nothing is recorded."""
    with pytest.raises(InvalidCredentials):
        session.renew(renew(**changes), opened(*past))


def test_a_session_nobody_opened_cannot_be_renewed():
    """No such session."""
    with pytest.raises(InvalidCredentials):
        session.renew(renew(), session.Session())


def test_a_family_is_bounded():
    """After the last allowed rotation the session ends."""
    many = session.Session(
        account_id=ALICE,
        live=True,
        epoch=2,
        expires_at=NOON + HOUR,
        rotations=session.MAX_ROTATIONS,
        tokens=TOKENS,
    )
    events = session.renew(renew(rotation=session.MAX_ROTATIONS), many)
    assert events == [session.SessionEnded(account_id=ALICE, cause="rotations")]


def test_a_session_ends_once():
    """Ending an ended session records nothing."""
    [event] = session.end("logout", opened())
    assert session.end("logout", opened(event)) == []


def test_a_kept_session_moves_to_the_new_epoch():
    """The session in which a password was changed outlives the others."""
    kept = session.SessionKept(account_id=ALICE, epoch=3)
    assert session.renew(renew(account_epoch=3), opened(kept))


def test_a_token_is_revoked_once():
    """Revoking again records nothing, also for a session's token."""
    [event] = token.revoke(ALICE, SESSION, token.Token())
    assert token.revoke(ALICE, SESSION, given(token.evolve, token.Token(), event)) == []
    issued = token.TokenIssued(account_id=ALICE, epoch=0, kid="k", expires_at=NOON)
    assert given(token.evolve, token.Token(), issued) == token.Token(ALICE, revoked=False)


def ring(*past):
    """A ring of keys with a past."""
    return given(signing_keys.evolve, signing_keys.Ring(), *past)


def created(kid):
    """A key pair was made."""
    return signing_keys.KeyCreated(kid=kid, algorithm="ES256", public_jwk="{}")


def test_one_key_signs_at_a_time():
    """The key activated last signs once its time has come; the one before verifies."""
    keys = ring(
        created("a"),
        signing_keys.KeyActivated(kid="a", signs_from=NOON),
        created("b"),
        signing_keys.KeyActivated(kid="b", signs_from=NOON + 60 * SECOND),
    )
    assert keys.signing(NOON - 1) is None
    before, after = NOON + 59 * SECOND, NOON + 60 * SECOND
    assert [keys.status(key, before) for key in keys.keys] == ["active", "published"]
    assert [keys.status(key, after) for key in keys.keys] == ["verifying", "active"]


def test_the_signing_key_cannot_be_retired():
    """Rotate first; a retired key is not activated again."""
    keys = ring(
        created("a"),
        signing_keys.KeyActivated(kid="a", signs_from=NOON),
        created("b"),
    )
    with pytest.raises(Conflict):
        signing_keys.retire("a", NOON, keys)
    [event] = signing_keys.retire("b", NOON, keys)
    after = given(signing_keys.evolve, keys, event)
    assert after.status(after.get("b"), NOON) == "retired"
    assert signing_keys.retire("b", NOON, after) == []
    with pytest.raises(Conflict):
        signing_keys.activate("b", NOON, after)
    with pytest.raises(NotFound):
        signing_keys.retire("c", NOON, after)


def test_an_answer_is_remembered_for_a_day():
    """The same request gets it again, another is refused, and a day later it is new."""
    event = idempotency.CommandDone(
        day="20833",
        shown=ALICE,
        request_hash=b"h",
        expires_at=NOON + idempotency.REMEMBERED_FOR,
        answer=idempotency.Answer(b"first"),
    )
    done = idempotency.evolve(idempotency.Done(), event)

    def unseal(shown, sealed, request_hash):
        assert (shown, request_hash) == (ALICE, b"h")
        return sealed

    with pytest.raises(Remembered) as before:
        idempotency.check(b"h", NOON, done, unseal)
    assert before.value.answer == b"first"
    with pytest.raises(IdempotencyMismatch):
        idempotency.check(b"other", NOON, done, unseal)
    idempotency.check(b"h", NOON + idempotency.REMEMBERED_FOR, done, unseal)
    idempotency.check(b"h", NOON, idempotency.Done(), unseal)
    with pytest.raises(Conflict):
        idempotency.check(b"h", NOON, done, lambda *_asked: None)


POLICY = policy.Policy(LOCKOUT, 1, 2, 3, 4, 5, 6, 12, 256, LOCKOUT)


def test_a_policy_is_adopted_when_it_differs():
    """The same numbers again are no event."""
    [event] = policy.decide(POLICY, policy.Adopted())
    adopted = policy.evolve(policy.Adopted(), event)
    assert policy.decide(POLICY, adopted) == []


def test_a_proof_opens_a_session():
    """What a sign-in records folds to a session that lives, and may be kept under a new epoch."""
    events = session.begin(OPENING)
    assert events == [SUCCEEDED, OPENED]
    state = given(session.evolve, session.Session(), *events)
    assert state.live
    [kept] = session.keep(3, state)
    assert given(session.evolve, state, kept).epoch == 3
    assert session.keep(3, session.Session()) == []
