"""Reservations of guesses: never more are verified than the lockout threshold allows.

A row of a throwaway table stands for a guess under way, on whatever process. It is written under
the append lock, where the failures on record are read too, so the two together never pass the
threshold. The row of a process that died counts until it is `RESERVED_FOR` old.

A name that nobody has has no failures on record. For it the row of a refused guess stays as a
decoy, so that its guesses wait for each other, and then no more, as those at a known name do.
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

_TABLE: Final = {
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
            tx.execute(_TABLE[self._log.dialect])

    @contextmanager
    def reserved(self, stream_id: UUID, lockout: Lockout, *, decoy: bool = False) -> Iterator[None]:
        """See the port."""
        with self._place():
            guess_id = self._ids.secret(16)
            self._wait(stream_id, guess_id, lockout)
            try:
                yield
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

        self._log.transact(run)

    def _wait(self, stream_id: UUID, guess_id: bytes, lockout: Lockout) -> None:
        deadline = time.monotonic() + PATIENCE
        turn = self._turns[stream_id.int % STRIPES]
        if not turn.acquire(timeout=PATIENCE):
            raise Overloaded("Too many sign-ins to one account are waiting.", 5)
        try:
            pause = SHORTEST
            while not self._reserve(stream_id, guess_id, lockout):
                if time.monotonic() >= deadline:
                    raise Overloaded("Too many sign-ins to one account are waiting.", 5)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST)
        finally:
            turn.release()

    def _reserve(self, stream_id: UUID, guess_id: bytes, lockout: Lockout) -> bool:
        now = self._clock.now()

        def run(tx: Transaction) -> bool:
            attempts = _attempts(tx, stream_id)
            waiting, decoys = _counted(tx, stream_id, now)
            standing = attempts.standing(now, lockout.reset) + decoys
            locked = attempts.locked(now) or decoys >= lockout.threshold
            # One at a time goes through even if the threshold was lowered below what stands.
            if not locked and waiting >= max(1, lockout.threshold - standing):
                return False
            # Written for a locked counter too: every sign-in costs the same.
            tx.execute(
                "INSERT INTO reserved_guesses (stream_id, guess_id, ends_at, decoy) "
                "VALUES (?, ?, ?, 0)",
                (stream_id.bytes, guess_id, now + RESERVED_FOR),
            )
            return True

        try:
            return self._log.transact(run)
        except OperationalError as error:
            raise StoreUnavailable("Guesses cannot be counted now.") from error

    def _release(self, stream_id: UUID, guess_id: bytes, decoy: Lockout | None) -> None:
        """A row that stays because the store is gone ends by its age."""
        now = self._clock.now()

        def run(tx: Transaction) -> None:
            guess = (stream_id.bytes, guess_id)
            decoys = _counted(tx, stream_id, now)[1]
            if decoy is None or decoys >= decoy.threshold:
                tx.execute(
                    "DELETE FROM reserved_guesses WHERE stream_id = ? AND guess_id = ?", guess
                )
            else:
                tx.execute(
                    "UPDATE reserved_guesses SET decoy = 1, ends_at = ? "
                    "WHERE stream_id = ? AND guess_id = ?",
                    (now + decoy.duration, *guess),
                )

        with suppress(PersistenceError):
            self._log.transact(run)


def _counted(tx: Transaction, stream_id: UUID, now: int) -> tuple[int, int]:
    """(guesses under way, decoys) of a counter."""
    found = tx.query(
        "SELECT count(*), coalesce(sum(decoy), 0) FROM reserved_guesses "
        "WHERE stream_id = ? AND ends_at > ?",
        (stream_id.bytes, now),
    )
    rows, decoys = int(number(found[0][0])), int(number(found[0][1]))
    return rows - decoys, decoys


def _attempts(tx: Transaction, stream_id: UUID) -> Attempts:
    found = tx.query(
        "SELECT failures, failed_at, locked_until FROM access_attempts WHERE stream_id = ?",
        (stream_id.bytes,),
    )
    if not found:
        return Attempts()
    failures, failed_at, locked_until = found[0]
    return Attempts(number(failures), number(failed_at), maybe_number(locked_until))
