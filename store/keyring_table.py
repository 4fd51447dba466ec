"""The keyring's rows, beside the log and never in it: wrapped keys, opaque here."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from typing import Protocol, cast

from gatebook.projections.ports import Row, Value
from gatebook.store.faults import StoreMissing
from gatebook.store.sqlite_connection import connect, create_private_file, identity, translated

_TABLE = (
    "CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL, "
    "created_at INTEGER NOT NULL) STRICT"
)


class KeyTable(Protocol):
    """Rows that may be removed for ever. Every change is durable when the call returns.

    Raises `OperationalError` when the store fails.
    """

    def get(self, name: str) -> bytes | None: ...

    def add(self, name: str, wrapped: bytes, created_at_us: int) -> bool:
        """False, and nothing changed, when the name is taken."""
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

    def add(self, name: str, wrapped: bytes, created_at_us: int) -> bool:
        sql = "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        return self._run(sql, (name, wrapped, created_at_us))[1] == 1

    def replace(self, name: str, old: bytes, new: bytes) -> bool:
        sql = "UPDATE keys SET wrapped = ? WHERE name = ? AND wrapped = ?"
        return self._run(sql, (new, name, old))[1] == 1

    def remove(self, name: str) -> bool:
        return self._run("DELETE FROM keys WHERE name = ?", (name,))[1] == 1

    def names(self, prefix: str = "") -> list[str]:
        sql = "SELECT name FROM keys WHERE substr(name, 1, ?) = ? ORDER BY name"
        return [cast("str", row[0]) for row in self._run(sql, (len(prefix), prefix))[0]]

    def close(self) -> None:
        with self._gate:
            self._drop()

    def _run(self, sql: str, params: Sequence[Value]) -> tuple[list[Row], int]:
        """One statement, one transaction: SQLite commits it and syncs before it answers."""
        with self._gate:
            try:
                if self._connection is None or identity(self._path) != self._opened:
                    self._drop()
                    self._connection = _opened_keys(self._path)
                    self._opened = identity(self._path)
                cursor = self._connection.execute(sql, params)
                return cursor.fetchall(), cursor.rowcount
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
    return connect(path, "journal_mode=TRUNCATE", "secure_delete=ON")
