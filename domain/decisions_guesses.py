"""Guesses at secrets and second steps, decided again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gatebook.domain import attempts, challenge, factors, password
from gatebook.domain.decisions import Case, Judge
from gatebook.domain.event import Event

HOUR: Final = 3600 * 1_000_000


def _failed(case: Case, event: attempts.Failed) -> Sequence[Event]:
    """A failure counts on from those that stand; while a lock lasts none is recorded at all."""
    for name in ("cause", "matched", "method", "scope"):
        case.saw(name, getattr(event, name))
    if event.account_id is None:
        hour = attempts.unknown_stream_id(event.failed_at // HOUR)
        return [_unknown_name(event)] if case.recorded.stream_id == hour else []
    state: attempts.Attempts = case.own
    lockout = attempts.lockout_of(event.method, event.scope, case.policy(event.policy))
    case.saw("failures_before", state.failures)
    case.saw("failed_at_before", state.failed_at)
    case.saw("locked_until_before", state.locked_until)
    case.saw("threshold", lockout.threshold)
    if event.method != "passkey" and state.locked(case.at):
        return []
    counter = attempts.Counter(event.account_id, event.method, event.scope)  # type: ignore[arg-type]  # as recorded
    failure = attempts.Failure(event.cause, event.matched, case.at, lockout, event.policy)  # type: ignore[arg-type]  # as recorded
    return attempts.fail(counter, failure, state)


def _unknown_name(event: attempts.Failed) -> Event:
    """A name that nobody has counts for nobody and locks nothing."""
    return msgspec.structs.replace(
        event, cause="unknown-account", matched=False, failures=0, locked_until=None
    )


def _cleared(case: Case, event: attempts.LockoutCleared) -> Sequence[Event]:
    """A success clears no counter that is locked: it would have been refused."""
    state: attempts.Attempts = case.own
    case.saw("failures_before", state.failures)
    case.saw("locked_until_before", state.locked_until)
    case.saw("cause", event.cause)
    if event.cause == "success" and event.method != "passkey" and state.locked(case.at):
        return []
    counter = attempts.Counter(event.account_id, event.method)  # type: ignore[arg-type]  # as recorded
    return attempts.clear(counter, event.cause, state)


# --- second steps


def _challenged(case: Case, event: challenge.MfaChallenged) -> Sequence[Event]:
    held: factors.Factors = case.of("factors", factors.stream_id(event.account_id))
    account = case.account(event.account_id)
    known = case.before.of("password", password.stream_id(event.account_id))
    case.saw("password_version", known.version)
    case.saw("factors", held.methods)
    if account.status != "active" or not held.due:
        return []
    return [
        challenge.MfaChallenged(
            account_id=event.account_id,
            proofs=event.proofs,
            methods=tuple(held.methods),
            epoch=account.epoch,
            password_version=known.version,
            failures_before=event.failures_before,
            expires_at=case.at + challenge.LIFETIME,
        )
    ]


def _completed(case: Case, event: challenge.MfaCompleted) -> Sequence[Event]:
    """Which counter the password was tried against is not recorded, so no lock is asked for."""
    account = case.account(event.account_id)
    known = case.before.of("password", password.stream_id(event.account_id))
    case.saw("password_version", known.version)
    case.saw("method", event.method)
    standing = challenge.Standing(
        active=account.status == "active",
        epoch=account.epoch,
        password_version=known.version,
        password_locked=False,
    )
    challenge.check(case.own, standing, case.at)
    return [challenge.MfaCompleted(account_id=event.account_id, method=event.method)]


JUDGES: Final[dict[type[Event], Judge]] = {
    attempts.LoginFailed: _failed,
    attempts.BreakGlassLoginFailed: _failed,
    attempts.LockoutCleared: _cleared,
    challenge.MfaChallenged: _challenged,
    challenge.MfaCompleted: _completed,
}
"""How each of these events was decided."""
