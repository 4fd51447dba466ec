"""When something was last used: a throwaway table beside the log, coarse, and never an event.

It may be lost at any time. Then a session looks as idle as its last event says, and an API key as
if it had not been used since it was made.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from gatebook.projections.ports import Transaction
from gatebook.projections.rows import number, uuid
from gatebook.store.log import Log

MINUTE: Final = 60 * 1_000_000
"""Microseconds: how coarse the times are when nothing else is asked for."""

CACHED: Final = 50_000
AT_ONCE: Final = 500

_TABLE: Final = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS last_used (subject BLOB NOT NULL PRIMARY KEY, "
        "at INTEGER NOT NULL) WITHOUT ROWID, STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS last_used (subject BYTEA NOT NULL PRIMARY KEY, "
        "at BIGINT NOT NULL)"
    ),
}
_SEEN: Final = (
    "INSERT INTO last_used (subject, at) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE "
    "SET at = excluded.at WHERE last_used.at < excluded.at"
)

_SWEEP: Final = (
    "DELETE FROM last_used WHERE at < ? AND subject NOT IN (SELECT key_id FROM access_api_keys)"
)


class Activity:
    """One row a subject: a session, an API key. Times in microseconds since the epoch."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._written: dict[UUID, int] = {}
        self._guard = threading.Lock()

    def create(self) -> None:
        """Makes the table unless it exists."""
        with self._log.writing() as tx:
            tx.execute(_TABLE[self._log.dialect])

    def seen(self, subject: UUID, at: int, granularity: int = MINUTE) -> None:
        """Notes a use, unless this process noted one less than `granularity` microseconds ago.

        Costs one commit when it writes. Raises nothing: a request does not fail for it.
        """
        if not self._due(subject, at, granularity):
            return

        def run(tx: Transaction) -> None:
            tx.execute(_SEEN, (subject.bytes, at))

        try:
            self._log.transact(run)
        except PersistenceError:
            with self._guard:
                self._written.pop(subject, None)

    def last(self, subject: UUID) -> int | None:
        """When it was last used, as far as it was noted. Raises what the store raises."""
        return self.lasts([subject]).get(subject)

    def lasts(self, subjects: Iterable[UUID]) -> dict[UUID, int]:
        """`last` of many; those never seen are missing."""
        wanted, found = list(subjects), {}
        for start in range(0, len(wanted), AT_ONCE):
            chunk = wanted[start : start + AT_ONCE]
            marks = ", ".join("?" * len(chunk))
            rows = self._log.query(
                f"SELECT subject, at FROM last_used WHERE subject IN ({marks})",  # noqa: S608 - only marks
                tuple(subject.bytes for subject in chunk),
            )
            found.update({uuid(subject): number(at) for subject, at in rows})
        return found

    def sweep(self, before: int) -> None:
        """Drops what was not used since an instant, and is no API key any more."""

        def run(tx: Transaction) -> None:
            tx.execute(_SWEEP, (before,))

        with suppress(PersistenceError):
            self._log.transact(run)

    def _due(self, subject: UUID, at: int, granularity: int) -> bool:
        with self._guard:
            if at - self._written.get(subject, -granularity) < granularity:
                return False
            if len(self._written) >= CACHED:
                for old in list(self._written)[: CACHED // 2]:
                    del self._written[old]
            self._written[subject] = at
            return True
