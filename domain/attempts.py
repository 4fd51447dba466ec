"""Attempts at a credential: failures, lockouts, and what was refused while locked.

Each event carries the whole outcome, so the last few of a stream are its state, however long the
stream is. A stranger can lengthen it by `threshold` events a lock and no faster.
"""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event
from gatebook.domain.policy import Lockout

Cause = Literal["wrong-password", "inactive", "deleted", "no-password", "unknown-account"]

TAIL = 4
"""How many of a stream's last events are enough to know its state."""


class LoginFailed(Event, frozen=True):
    """A refused sign-in. `failures` and `locked_until` are the outcome, `matched` the input.

    `name_hash` is a keyed hash of a name that nobody has; then `account_id` is None.
    `policy` is the version of the policy stream that was applied.
    """

    TOPIC = "login.failed.1"
    STREAM = "attempts"
    account_id: UUID | None
    method: str
    cause: str
    matched: bool
    failures: int
    failed_at: int
    locked_until: int | None
    policy: int
    name_hash: bytes = b""


class LoginRefusedWhileLocked(Event, frozen=True):
    """Sign-ins that were refused unread, summed up by the hour. Times in microseconds.

    `account_id` None: tries at names that nobody has, past the number recorded one by one.
    """

    TOPIC = "login.refused_while_locked.1"
    STREAM = "attempts"
    account_id: UUID | None
    method: str
    count: int
    first_at: int
    last_at: int


class LockoutCleared(Event, frozen=True):
    """The count of failures starts again. `cause`: "success", "operator" or "reset"."""

    TOPIC = "lockout.cleared.1"
    STREAM = "attempts"
    account_id: UUID
    method: str
    cause: str


Happening = LoginFailed | LoginRefusedWhileLocked | LockoutCleared


class Attempts(msgspec.Struct, frozen=True):
    """Failures in a row, the last one's time and the end of the lock, if any (microseconds)."""

    failures: int = 0
    failed_at: int = 0
    locked_until: int | None = None

    def locked(self, at: int) -> bool:
        """Whether attempts are refused at an instant."""
        return self.locked_until is not None and at < self.locked_until


def stream_id(account_id: UUID, method: str) -> UUID:
    """The stream of attempts at one kind of credential of an account."""
    return uuid8(b"attempts", account_id.bytes, method.encode())


def unknown_stream_id(hour: int) -> UUID:
    """The one stream of an hour that tries at unknown names go to."""
    return uuid8(b"unknown-names", hour.to_bytes(8, "big"))


def fail(
    *,
    account_id: UUID,
    method: str,
    cause: Cause,
    matched: bool,
    at: int,
    state: Attempts,
    lockout: Lockout,
    policy: int,
) -> LoginFailed:
    """The outcome of one more failure under a lockout policy.

    Failures older than `lockout.reset` are forgotten; the one that reaches the threshold locks.
    """
    stale = at - state.failed_at >= lockout.reset or state.locked_until is not None
    failures = 1 if stale else state.failures + 1
    return LoginFailed(
        account_id=account_id,
        method=method,
        cause=cause,
        matched=matched,
        failures=failures,
        failed_at=at,
        locked_until=at + lockout.duration if failures >= lockout.threshold else None,
        policy=policy,
    )


def clear(account_id: UUID, method: str, cause: str, state: Attempts) -> list[Happening]:
    """Starts the count again, if there is anything to forget."""
    if state.failures == 0 and state.locked_until is None:
        return []
    return [LockoutCleared(account_id=account_id, method=method, cause=cause)]


def evolve(state: Attempts, event: Happening) -> Attempts:
    """The state after an event."""
    match event:
        case LoginFailed(failures=failures, failed_at=failed_at, locked_until=locked_until):
            return Attempts(failures=failures, failed_at=failed_at, locked_until=locked_until)
        case LoginRefusedWhileLocked():
            return state
        case LockoutCleared():
            return Attempts()
        case _:
            assert_never(event)
