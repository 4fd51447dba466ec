"""The keyring's rows, beside the log and never in it: wrapped keys, opaque here."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

from gatebook.projections.ports import Row, Value
from gatebook.store.faults import StoreMissing
from gatebook.store.sqlite_connection import connect, create_private_file, identity, translated

_TABLE = (
    "CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL, "
    "created_at INTEGER NOT NULL) STRICT"
)
_ADD = "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_ADD_IF = (
    "INSERT INTO keys SELECT ?, ?, ? FROM keys WHERE name = 'master' AND wrapped = ? "
    "ON CONFLICT DO NOTHING"
)
_REPLACE = "UPDATE keys SET wrapped = ? WHERE name = ? AND wrapped = ?"
_STALE = (
    "SELECT name, wrapped FROM keys WHERE name > ? AND substr(wrapped, 1, 8) <> ? "
    "AND name <> 'master' ORDER BY name LIMIT ?"
)
_COUNTS = "SELECT count(*), sum(substr(wrapped, 1, 8) <> ?) FROM keys WHERE name <> 'master'"
_KINDS = (
    "SELECT substr(name, 1, instr(name || ':', ':') - 1) AS kind, count(*) FROM keys "
    "GROUP BY kind ORDER BY kind"
)

Rewrapped = tuple[str, bytes, bytes]
"""A row's name, what it held, and what it is to hold."""


class KeyTable(Protocol):
    """Rows that may be removed for ever. Every change is durable when the call returns.

    The row `master` says which master key wraps; the others begin with the 8 bytes of its id.
    Raises `OperationalError` when the store fails.
    """

    def get(self, name: str) -> bytes | None: ...

    def add(
        self, name: str, wrapped: bytes, created_at_us: int, *, believed: bytes | None = None
    ) -> bool:
        """False, and nothing changed, when the name is taken.

        Or when the row `master` is not what it is `believed` to be: in one step with the
        insertion, so that nothing is added under a master key that was just replaced.
        """
        ...

    def replace(self, name: str, old: bytes, new: bytes) -> bool:
        """False, and nothing changed, unless `old` is what is stored."""
        ...

    def remove(self, name: str) -> bool:
        """False when there was none."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """In code point order."""
        ...

    def kinds(self) -> dict[str, int]:
        """How many rows there are by what stands before the colon of their names."""
        ...

    def stale(self, master_id: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Rows, by name, that another master key wraps, from behind a name on."""
        ...

    def counts(self, master_id: bytes) -> tuple[int, int]:
        """How many keys there are, and how many of them another master key wraps."""
        ...

    def rewrap(self, changes: Sequence[Rewrapped]) -> None:
        """Changes rows that hold what they are said to, all in one transaction.

        A row that was removed meanwhile does not come back.
        """
        ...

    def forget_former(self) -> None:
        """Gives back the room of what was overwritten, where the store does so only if asked."""
        ...

    def close(self) -> None: ...


class SqliteKeyTable:
    """A file of its own, without a write-ahead log, so that a removed key does not linger in one.

    A crash inside a write leaves a journal, from which the next opening restores the row.
    """

    def __init__(self, path: str) -> None:
        """Raises `StoreMissing`: to make a new one would hide that the keys are lost."""
        self._path = path
        self._gate = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if identity(path) is None:
            raise StoreMissing(f"there is no keyring at {path}: restore it from its backup")
        self._opened = identity(path)

    def get(self, name: str) -> bytes | None:
        found = self._run("SELECT wrapped FROM keys WHERE name = ?", (name,))[0]
        return cast("bytes", found[0][0]) if found else None

    def add(
        self, name: str, wrapped: bytes, created_at_us: int, *, believed: bytes | None = None
    ) -> bool:
        row = (name, wrapped, created_at_us)
        if believed is None:
            return self._run(_ADD, row)[1] == 1
        return self._run(_ADD_IF, (*row, believed))[1] == 1

    def replace(self, name: str, old: bytes, new: bytes) -> bool:
        return self._run(_REPLACE, (new, name, old))[1] == 1

    def remove(self, name: str) -> bool:
        return self._run("DELETE FROM keys WHERE name = ?", (name,))[1] == 1

    def names(self, prefix: str = "") -> list[str]:
        sql = "SELECT name FROM keys WHERE substr(name, 1, ?) = ? ORDER BY name"
        return [cast("str", row[0]) for row in self._run(sql, (len(prefix), prefix))[0]]

    def kinds(self) -> dict[str, int]:
        return dict(cast("list[tuple[str, int]]", self._run(_KINDS, ())[0]))

    def stale(self, master_id: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        found = self._run(_STALE, (after, master_id, limit))[0]
        return cast("list[tuple[str, bytes]]", found)

    def counts(self, master_id: bytes) -> tuple[int, int]:
        total, stale = self._run(_COUNTS, (master_id,))[0][0]
        return cast("int", total), cast("int", stale or 0)

    def rewrap(self, changes: Sequence[Rewrapped]) -> None:
        rows = [(new, name, old) for name, old, new in changes]
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_REPLACE, rows)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def forget_former(self) -> None:
        """Nothing to do: what is overwritten is gone (secure_delete, a journal that is emptied)."""

    def close(self) -> None:
        with self._gate:
            self._drop()

    def _run(self, sql: str, params: Sequence[Value]) -> tuple[list[Row], int]:
        """One statement, one transaction: SQLite commits it and syncs before it answers."""
        with self._connected() as connection:
            cursor = connection.execute(sql, params)
            return cursor.fetchall(), cursor.rowcount

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread. It is dropped when anything fails on it."""
        with self._gate:
            try:
                if self._connection is None or identity(self._path) != self._opened:
                    self._drop()
                    self._connection = _opened_keys(self._path)
                    self._opened = identity(self._path)
                yield self._connection
            except sqlite3.Error as error:
                self._drop()
                raise translated(error) from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def create_keys_file(path: str) -> None:
    """Makes an empty keyring, readable by its owner only, unless there is one."""
    try:
        if not os.path.exists(path):
            create_private_file(path)
        connection = _opened_keys(path)
        try:
            connection.execute(_TABLE)
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise translated(error) from error


def _opened_keys(path: str) -> sqlite3.Connection:
    # SQLite is not fair: on a slow disk somebody who waits can be passed by for many seconds.
    return connect(path, "journal_mode=TRUNCATE", "secure_delete=ON", "busy_timeout=30000")
