"""Reservations of guesses: never more are verified than the lockout threshold allows.

A row of a throwaway table stands for a guess under way, on whatever process. It is written under
the append lock, where the failures on record are read too, so the two together never pass the
threshold. The row of a process that died counts until it is `RESERVED_FOR` old.

A name that nobody has has no failures on record. Its refused guesses are counted in a second
throwaway table, by the same rule: they wait for each other, lock and are forgotten as those at a
known name are, so that neither time nor the length of the log tells the one from the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from eventsourcing.persistence import OperationalError, PersistenceError

from gatebook.domain.attempts import Attempts
from gatebook.domain.errors import Overloaded, StoreUnavailable
from gatebook.domain.policy import Lockout
from gatebook.domain.ports import Clock, Ids
from gatebook.projections.ports import Transaction
from gatebook.projections.rows import maybe_number, number
from gatebook.store.log import Log

RESERVED_FOR: Final = 120 * 1_000_000
"""Microseconds: longer than a guess can wait for the hash gate and be hashed."""

PATIENCE: Final = 10.0
SHORTEST: Final = 0.01
LONGEST: Final = 0.2
"""Seconds: how long a guess waits for its turn, and how often it asks."""

STRIPES: Final = 64

_GUESSES: Final = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS reserved_guesses (stream_id BLOB NOT NULL, "
        "guess_id BLOB NOT NULL, ends_at INTEGER NOT NULL, decoy INTEGER NOT NULL, "
        "PRIMARY KEY (stream_id, guess_id)) WITHOUT ROWID, STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS reserved_guesses (stream_id BYTEA NOT NULL, "
        "guess_id BYTEA NOT NULL, ends_at BIGINT NOT NULL, decoy INTEGER NOT NULL, "
        "PRIMARY KEY (stream_id, guess_id))"
    ),
}
_DECOYS: Final = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS decoy_attempts (stream_id BLOB PRIMARY KEY, "
        "failures INTEGER NOT NULL, failed_at INTEGER NOT NULL, locked_until INTEGER, "
        "ends_at INTEGER NOT NULL) WITHOUT ROWID, STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS decoy_attempts (stream_id BYTEA PRIMARY KEY, "
        "failures BIGINT NOT NULL, failed_at BIGINT NOT NULL, locked_until BIGINT, "
        "ends_at BIGINT NOT NULL)"
    ),
}
_STANDING: Final = (
    "SELECT failures, failed_at, locked_until FROM access_attempts WHERE stream_id = ? UNION ALL "
    "SELECT failures, failed_at, locked_until FROM decoy_attempts WHERE stream_id = ?"
)
_FAILED: Final = (
    "INSERT INTO decoy_attempts (stream_id, failures, failed_at, locked_until, ends_at) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (stream_id) DO UPDATE SET "
    "failures = excluded.failures, failed_at = excluded.failed_at, "
    "locked_until = excluded.locked_until, ends_at = excluded.ends_at"
)


class Reservations:
    """Guesses under way. At most `queue` callers of this process wait or guess at once."""

    def __init__(self, log: Log, clock: Clock, ids: Ids, queue: int) -> None:
        self._log = log
        self._clock = clock
        self._ids = ids
        self._room = threading.BoundedSemaphore(queue)
        self._inside = threading.local()
        # One thread of a process asks for one counter, the others wait for it without asking.
        self._turns = [threading.Lock() for _ in range(STRIPES)]

    def create(self) -> None:
        """Makes the table unless it exists."""
        with self._log.writing() as tx:
            tx.execute(_GUESSES[self._log.dialect])
            tx.execute(_DECOYS[self._log.dialect])

    @contextmanager
    def reserved(self, stream_id: UUID, lockout: Lockout, *, decoy: bool = False) -> Iterator[bool]:
        """See the port."""
        with self._place():
            guess_id = self._ids.secret(16)
            locked = self._wait(stream_id, guess_id, lockout)
            try:
                yield locked
            finally:
                self._release(stream_id, guess_id, lockout if decoy else None)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the queue's, whatever the number of counters that a guess is held against."""
        if getattr(self._inside, "holds", False):
            yield
            return
        if not self._room.acquire(blocking=False):
            raise Overloaded("Too many sign-ins are waiting. Try again shortly.", 2)
        self._inside.holds = True
        try:
            yield
        finally:
            self._inside.holds = False
            self._room.release()

    def sweep(self, now: int) -> None:
        """Drops what dead processes have left."""

        def run(tx: Transaction) -> None:
            tx.execute("DELETE FROM reserved_guesses WHERE ends_at <= ?", (now,))
            tx.execute("DELETE FROM decoy_attempts WHERE ends_at <= ?", (now,))

        self._log.transact(run)

    def _wait(self, stream_id: UUID, guess_id: bytes, lockout: Lockout) -> bool:
        deadline = time.monotonic() + PATIENCE
        turn = self._turns[stream_id.int % STRIPES]
        if not turn.acquire(timeout=PATIENCE):
            raise Overloaded("Too many sign-ins to one account are waiting.", 5)
        try:
            pause = SHORTEST
            while (locked := self._reserve(stream_id, guess_id, lockout)) is None:
                if time.monotonic() >= deadline:
                    raise Overloaded("Too many sign-ins to one account are waiting.", 5)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST)
            return locked
        finally:
            turn.release()

    def _reserve(self, stream_id: UUID, guess_id: bytes, lockout: Lockout) -> bool | None:
        """Whether the counter is locked; None when the guess must wait."""
        now = self._clock.now()

        def run(tx: Transaction) -> bool | None:
            attempts = _attempts(tx, stream_id)
            waiting = _under_way(tx, stream_id, now)
            standing = attempts.standing(now, lockout.reset)
            locked = attempts.locked(now)
            # One at a time goes through even if the threshold was lowered below what stands.
            if not locked and waiting >= max(1, lockout.threshold - standing):
                return None
            # Written for a locked counter too: every sign-in costs the same.
            tx.execute(
                "INSERT INTO reserved_guesses (stream_id, guess_id, ends_at, decoy) "
                "VALUES (?, ?, ?, 0)",
                (stream_id.bytes, guess_id, now + RESERVED_FOR),
            )
            return locked

        try:
            return self._log.transact(run)
        except OperationalError as error:
            raise StoreUnavailable("Guesses cannot be counted now.") from error

    def _release(self, stream_id: UUID, guess_id: bytes, decoy: Lockout | None) -> None:
        """A row that stays because the store is gone ends by its age."""
        now = self._clock.now()

        def run(tx: Transaction) -> None:
            tx.execute(
                "DELETE FROM reserved_guesses WHERE stream_id = ? AND guess_id = ?",
                (stream_id.bytes, guess_id),
            )
            attempts = _attempts(tx, stream_id)
            if decoy is not None and not attempts.locked(now):
                _fail(tx, stream_id, attempts, decoy, now)

        with suppress(PersistenceError):
            self._log.transact(run)


def _fail(tx: Transaction, stream_id: UUID, attempts: Attempts, lockout: Lockout, now: int) -> None:
    """What `attempts.fail` would record, were it worth an event."""
    failures = attempts.standing(now, lockout.reset) + 1
    locked_until = now + lockout.duration if failures >= lockout.threshold else None
    ends_at = max(now + lockout.reset, locked_until or 0)
    tx.execute(_FAILED, (stream_id.bytes, failures, now, locked_until, ends_at))


def _under_way(tx: Transaction, stream_id: UUID, now: int) -> int:
    found = tx.query(
        "SELECT count(*) FROM reserved_guesses WHERE stream_id = ? AND ends_at > ?",
        (stream_id.bytes, now),
    )
    return number(found[0][0])


def _attempts(tx: Transaction, stream_id: UUID) -> Attempts:
    """What stands against a counter, a real one's or a decoy's."""
    found = tx.query(_STANDING, (stream_id.bytes, stream_id.bytes))
    if not found:
        return Attempts()
    failures, failed_at, locked_until = found[0]
    return Attempts(number(failures), number(failed_at), maybe_number(locked_until))
