"""What may be shown once only: identifiers of DPoP proofs and client assertions, until they end.

A client assertion buys a token, so it is remembered in a throwaway table beside the log, which all
nodes share. A DPoP proof comes with every request and is worth nothing without the token it is
bound to: it is remembered in a throwaway file that the workers of one machine share.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from eventsourcing.persistence import OperationalError, PersistenceError

from gatebook.domain.errors import StoreUnavailable
from gatebook.projections.ports import Transaction
from gatebook.store.log import Log
from gatebook.store.throwaway import ThrowawayFile

SWEEP_EVERY: Final = 256
"""Identifiers noted by one process between two clean-ups."""

_TABLE: Final = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS seen (digest BLOB NOT NULL PRIMARY KEY, "
        "until INTEGER NOT NULL) WITHOUT ROWID, STRICT"
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS seen (digest BYTEA NOT NULL PRIMARY KEY, until BIGINT NOT NULL)"
    ),
}
_INSERT: Final = "INSERT INTO seen (digest, until) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SWEEP: Final = "DELETE FROM seen WHERE until < ?"


class SeenTable:
    """Shared by every process on the database. Times in microseconds."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def create(self) -> None:
        """Makes the table unless it exists."""
        with self._log.writing() as tx:
            tx.execute(_TABLE[self._log.dialect])

    def first(self, digest: bytes, until: int) -> bool:
        """Whether nobody showed it before; from now on it was shown, until it ends.

        Costs one commit. Raises what the store raises.
        """

        def run(tx: Transaction) -> bool:
            return tx.execute(_INSERT, (digest, until)) == 1

        try:
            return self._log.transact(run)
        except OperationalError as error:
            raise StoreUnavailable("What was used cannot be remembered now.") from error

    def sweep(self, now: int) -> None:
        """Drops what has ended."""

        def run(tx: Transaction) -> None:
            tx.execute(_SWEEP, (now,))

        with suppress(PersistenceError):
            self._log.transact(run)


class SeenFile:
    """Shared by the workers of this machine. Open it after a fork, and close it.

    A crash of the machine may lose it: by its next start the proofs in it are too old.
    """

    def __init__(self, path: Path) -> None:
        self._file = ThrowawayFile(path, [_TABLE["sqlite"]])
        self._guard = threading.Lock()
        self._noted = 0

    def first(self, digest: bytes, now: int, until: int) -> bool:
        """Whether nobody showed it before; from now on it was shown, until it ends.

        Raises StoreUnavailable when the file cannot be used: what cannot be checked is not good.
        """
        with self._guard:
            try:
                return self._first(digest, now, until)
            except (sqlite3.Error, OSError) as error:
                self._file.drop()
                raise StoreUnavailable("Replays cannot be told apart.") from error

    def close(self) -> None:
        """Closes the file. Twice is harmless."""
        with self._guard:
            self._file.drop()

    def _first(self, digest: bytes, now: int, until: int) -> bool:
        connection = self._file.usable()
        self._noted += 1
        if self._noted % SWEEP_EVERY == 1:
            connection.execute(_SWEEP, (now,))
        return connection.execute(_INSERT, (digest, until)).rowcount == 1
