"""Counts of refusals that leave no event: a throwaway table beside the log, bounded by hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from uuid import UUID

from gatebook.projections.ports import Transaction
from gatebook.store.log import Log

HOUR = 3600 * 1_000_000

_TABLE = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS refused (subject BLOB NOT NULL, hour INTEGER NOT NULL, "
        "count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, "
        "PRIMARY KEY (subject, hour)) WITHOUT ROWID, STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS refused (subject BYTEA NOT NULL, hour BIGINT NOT NULL, "
        "count BIGINT NOT NULL, first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, "
        "PRIMARY KEY (subject, hour))"
    ),
}
_COUNT = (
    "INSERT INTO refused (subject, hour, count, first_at, last_at) VALUES (?, ?, 1, ?, ?) "
    "ON CONFLICT (subject, hour) DO UPDATE SET count = refused.count + 1, "
    "last_at = excluded.last_at"
)


class RefusedTable:
    """One row a subject and hour, whatever the number of refusals."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def create(self) -> None:
        """Makes the table unless it exists."""
        with self._log.writing() as tx:
            tx.execute(_TABLE[self._log.dialect])

    def count(self, account_id: UUID, method: str, at: int) -> None:
        """One more refusal, in the same group commit that appends go through."""
        self._log.transact(self.counting(account_id, method, at))

    def counting(self, account_id: UUID, method: str, at: int) -> Callable[[Transaction], None]:
        """The same, to be run in the place of an append."""
        subject = account_id.bytes + method.encode()

        def run(tx: Transaction) -> None:
            tx.execute(_COUNT, (subject, at // HOUR, at, at))

        return run

    def before(self, hour: int) -> list[tuple[bytes, int, int, int]]:
        """(subject, count, first, last) of every hour that is over, oldest first.

        A subject is 16 bytes of an account's id and the name of a method.
        """
        found = self._log.query(
            "SELECT subject, count, first_at, last_at FROM refused WHERE hour < ? "
            "ORDER BY hour, subject",
            (hour,),
        )
        return cast("list[tuple[bytes, int, int, int]]", found)

    def forget(self, subject: bytes, hour: int) -> None:
        """Drops one row."""

        def run(tx: Transaction) -> None:
            tx.execute("DELETE FROM refused WHERE subject = ? AND hour = ?", (subject, hour))

        self._log.transact(run)
