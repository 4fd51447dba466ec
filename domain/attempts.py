"""Attempts at a credential: failures, lockouts, and what was refused while locked.

Each event carries the whole outcome, so the last few of a stream are its state, however long the
stream is. A stranger can lengthen it by `threshold` events a lock and no faster.

Every method of an account is counted apart, and so is every device that signed in before: a
stranger who locks the account's own counter does not lock its owner out of those.
"""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event
from gatebook.domain.policy import Lockout, Policy

Method = Literal["password", "totp", "recovery-code", "passkey", "break-glass"]
Scope = Literal["account", "device", "address"]
Cause = Literal[
    "locked",
    "wrong-password",
    "wrong-code",
    "used-code",
    "bad-assertion",
    "inactive",
    "deleted",
    "no-password",
    "no-credential",
    "expired",
    "not-permitted",
    "unknown-account",
]

TAIL = 4
"""How many of a stream's last events are enough to know its state."""

ADDRESSES = 10
"""From how many addresses break-glass may be locked before it is locked for all."""

UNREACHED = 2**31


class _Failed(Event, frozen=True):
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
    scope: str = "account"


class LoginFailed(_Failed, frozen=True):
    """A refused sign-in. `failures` and `locked_until` are the outcome, `matched` the input.

    `name_hash` is a keyed hash of a name that nobody has; then `account_id` is None.
    `scope` says whose failures are counted: "account", or those from one "device" or "address".
    `policy` is the version of the policy stream that was applied.
    """

    TOPIC = "login.failed.1"


class BreakGlassLoginFailed(_Failed, frozen=True):
    """A refused emergency sign-in, counted twice: for its address and for the account."""

    TOPIC = "breakglass.login_failed.1"


Failed = LoginFailed | BreakGlassLoginFailed


def failed_as(method: Method) -> type[Failed]:
    """The event that a method's failures are recorded as."""
    return BreakGlassLoginFailed if method == "break-glass" else LoginFailed


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


Happening = LoginFailed | BreakGlassLoginFailed | LoginRefusedWhileLocked | LockoutCleared


class Attempts(msgspec.Struct, frozen=True):
    """Failures in a row, the last one's time and the end of the lock, if any (microseconds)."""

    failures: int = 0
    failed_at: int = 0
    locked_until: int | None = None

    def locked(self, at: int) -> bool:
        """Whether attempts are refused at an instant."""
        return self.locked_until is not None and at < self.locked_until

    def standing(self, at: int, reset: int) -> int:
        """The failures that still count at an instant: none after a lock, or after `reset`."""
        stale = at - self.failed_at >= reset or self.locked_until is not None
        return 0 if stale else self.failures


class Counter(msgspec.Struct, frozen=True):
    """Whose failures are counted: an account's at one method, or those of one device or address."""

    account_id: UUID
    method: Method
    scope: Scope = "account"
    key: bytes = b""

    @property
    def stream_id(self) -> UUID:
        """The stream of attempts that this counter is folded from."""
        account_id, method = self.account_id.bytes, self.method.encode()
        if self.scope == "account":
            return uuid8(b"attempts", account_id, method)
        return uuid8(b"attempts", account_id, method, self.scope.encode(), self.key)


def unknown_stream_id(hour: int) -> UUID:
    """The one stream of an hour that tries at unknown names go to."""
    return uuid8(b"unknown-names", hour.to_bytes(8, "big"))


def lockout_of(method: str, scope: str, policy: Policy) -> Lockout:
    """The lockout policy of a counter.

    Break-glass counts by address first, and for the whole account only far above that: five
    wrong guesses of a stranger do not lock its owner out. A signature cannot be guessed, so
    passkeys are counted and never locked.
    """
    if method == "passkey":
        return msgspec.structs.replace(policy.lockout, threshold=UNREACHED)
    if method != "break-glass":
        return policy.lockout
    if scope == "address":
        return policy.break_glass
    threshold = policy.break_glass.threshold * ADDRESSES
    return msgspec.structs.replace(policy.break_glass, threshold=threshold)


class Failure(msgspec.Struct, frozen=True):
    """A guess that was refused at an instant, under a lockout policy and its version.

    `matched`: the secret was right all the same.
    """

    cause: Cause
    matched: bool
    at: int
    lockout: Lockout
    policy: int


def fail(counter: Counter, failure: Failure, state: Attempts) -> list[Happening]:
    """The outcome of one more failure.

    Failures older than `lockout.reset` are forgotten; the one that reaches the threshold locks.
    """
    at, lockout = failure.at, failure.lockout
    failures = state.standing(at, lockout.reset) + 1
    return [
        failed_as(counter.method)(
            account_id=counter.account_id,
            method=counter.method,
            cause=failure.cause,
            matched=failure.matched,
            failures=failures,
            failed_at=at,
            locked_until=at + lockout.duration if failures >= lockout.threshold else None,
            policy=failure.policy,
            scope=counter.scope,
        )
    ]


def clear(counter: Counter, cause: str, state: Attempts) -> list[Happening]:
    """Starts the count again, if there is anything to forget."""
    if state.failures == 0 and state.locked_until is None:
        return []
    return [LockoutCleared(account_id=counter.account_id, method=counter.method, cause=cause)]


def evolve(state: Attempts, event: Happening) -> Attempts:
    """The state after an event."""
    match event:
        case LoginFailed() | BreakGlassLoginFailed():
            return Attempts(event.failures, event.failed_at, event.locked_until)
        case LoginRefusedWhileLocked():
            return state
        case LockoutCleared():
            return Attempts()
        case _:
            assert_never(event)
