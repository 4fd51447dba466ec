"""Guesses at a secret and their counters: one place for passwords, codes and break-glass."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from gatebook.domain import attempts
from gatebook.domain.application.core import HOUR, Decision, Gatebook, Loaded
from gatebook.domain.attempts import Attempts, Cause, Counter, Failure, Method
from gatebook.domain.envelope import Entry, uuid8, uuid8_of
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.policy import Lockout

NOBODY = uuid8(b"nobody")
"""Stands in for the account of a name that nobody has, so that both take the same path."""

MAX_UNKNOWN_AN_HOUR = 1_000
"""Tries at unknown names recorded one by one in an hour; more are counted."""


class Tries:
    """The counters of failures, as commands use them."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    def lockout(self, counter: Counter) -> Lockout:
        """The lockout policy of a counter."""
        return attempts.lockout_of(counter.method, counter.scope, self._app.policy)

    def load(self, counter: Counter) -> Loaded[Attempts]:
        """What was tried so far."""
        return self._app.tail(
            counter.stream_id, attempts.TAIL, attempts.Attempts(), attempts.evolve
        )

    def reserved(self, counter: Counter, *, decoy: bool = False) -> AbstractContextManager[bool]:
        """A guess, reserved: hold it from before the secret is read until the outcome is stored.

        `decoy`: there is no such account. Gives whether the counter is locked.
        """
        lockout = self.lockout(counter)
        return self._app.guesses.reserved(counter.stream_id, lockout, decoy=decoy)

    def reserved_for_name(self, name: str) -> AbstractContextManager[bool]:
        """The same for a name that nobody has, at the same cost."""
        stream_id = self._stand_in(name)
        return self._app.guesses.reserved(stream_id, self._app.policy.lockout, decoy=True)

    def failed(
        self,
        counter: Counter,
        loaded: Loaded[Attempts],
        cause: Cause,
        now: int,
        *,
        matched: bool = False,
    ) -> list[Entry]:
        """One more failure, and the lock if it is the last one allowed."""
        lockout = self.lockout(counter)
        failure = Failure(cause, matched, now, lockout, self._app.policy_version)
        return loaded.entries(attempts.fail(counter, failure, loaded.state))

    def refused(
        self, counter: Counter, loaded: Loaded[Attempts], now: int, refusal: InvalidCredentials
    ) -> Decision[Any]:
        """A try at a locked counter: refused unread and counted, at the cost of a failure."""
        entries = self.failed(counter, loaded, "locked", now)
        counted = (counter.account_id, counter.method)
        return Decision(None, entries, refusal, subject=counter.account_id, counted=counted)

    def cleared(self, counter: Counter, loaded: Loaded[Attempts], cause: str) -> list[Entry]:
        """The count starts again."""
        return loaded.entries(attempts.clear(counter, cause, loaded.state))

    def unlock(self, account_id: UUID, methods: frozenset[str], cause: str) -> list[Entry]:
        """Every counter of an account at some methods starts again: its devices' ones too."""
        entries = []
        for stream_id, method in self._app.access.locked_counters(account_id):
            if method not in methods:
                continue
            loaded = self._app.tail(stream_id, attempts.TAIL, Attempts(), attempts.evolve)
            event = attempts.LockoutCleared(account_id=account_id, method=method, cause=cause)
            entries += loaded.entries([event])
        return entries

    def refuse_unknown(
        self, name: str, method: Method, now: int, refusal: InvalidCredentials, *, locked: bool
    ) -> Decision[Any]:
        """A try at a name that nobody has: recorded in the hour's one stream, as a keyed hash.

        When as many were refused as lock a counter, `locked`, it is counted only, name by name as
        elsewhere: the length of the log is public. That ends with the thousandth of an hour.
        """
        app = self._app
        stream_id = attempts.unknown_stream_id(now // HOUR)
        many = app.version(stream_id) >= MAX_UNKNOWN_AN_HOUR
        failed = attempts.failed_as(method)(
            account_id=None,
            method=method,
            cause="unknown-account",
            matched=False,
            failures=0,
            failed_at=now,
            locked_until=None,
            policy=app.policy_version,
            name_hash=app.names.hash(name),
        )
        entry = Entry(stream_id, 0, failed)
        counted = (NOBODY, method) if many else (self._stand_in(name), method) if locked else None
        return Decision(None, [entry], refusal, unordered=frozenset({stream_id}), counted=counted)

    def _stand_in(self, name: str) -> UUID:
        """What stands for a name that nobody has where others have an account's id."""
        return uuid8_of(self._app.keys.derive("reserved-names", self._app.names.hash(name)))
