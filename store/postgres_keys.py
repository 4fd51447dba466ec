"""The keyring's rows in a schema of their own, beside the log's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import cast

import psycopg

from gatebook.projections.ports import Row, Value
from gatebook.store.faults import StoreMissing
from gatebook.store.keyring_table import Rewrapped
from gatebook.store.postgres_connection import Address, Connection, connect, native, translated
from gatebook.store.postgres_schema import keys_schema


class PostgresKeyTable:
    """One connection, opened again when it was lost. A removed row leaves with the next VACUUM."""

    def __init__(self, address: Address) -> None:
        """Raises `StoreMissing`: to make a new one would hide that the keys are lost."""
        self._address = address
        self._table = f"{keys_schema(address)}.keys"
        self._gate = threading.Lock()
        self._connection: Connection | None = None
        if self._run("SELECT to_regclass(?)::text", (self._table,))[0] == [(None,)]:
            self.close()
            raise StoreMissing(f"there is no keyring {self._table}: restore it from its backup")

    def get(self, name: str) -> bytes | None:
        found = self._run(f"SELECT wrapped FROM {self._table} WHERE name = ?", (name,))[0]  # noqa: S608  # a checked name
        return cast("bytes", found[0][0]) if found else None

    def add(
        self, name: str, wrapped: bytes, created_at_us: int, *, believed: bytes | None = None
    ) -> bool:
        row = (name, wrapped, created_at_us)
        if believed is None:
            sql = f"INSERT INTO {self._table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608  # a checked name
            return self._run(sql, row)[1] == 1
        # The share lock makes a change of the master row wait for this insertion, and this wait
        # for that change: then the row is looked at again, and is no longer what was believed.
        sql = (
            f"INSERT INTO {self._table} SELECT ?::text, ?::bytea, ?::bigint FROM {self._table} "  # noqa: S608  # a checked name
            "WHERE name = 'master' AND wrapped = ? FOR SHARE ON CONFLICT DO NOTHING"
        )
        return self._run(sql, (*row, believed))[1] == 1

    def replace(self, name: str, old: bytes, new: bytes) -> bool:
        return self._run(self._replace, (new, name, old))[1] == 1

    def remove(self, name: str) -> bool:
        return self._run(f"DELETE FROM {self._table} WHERE name = ?", (name,))[1] == 1  # noqa: S608  # a checked name

    def names(self, prefix: str = "") -> list[str]:
        sql = f"SELECT name FROM {self._table} WHERE starts_with(name, ?) ORDER BY name"  # noqa: S608  # a checked name
        return [cast("str", row[0]) for row in self._run(sql, (prefix,))[0]]

    def kinds(self) -> dict[str, int]:
        sql = f"SELECT split_part(name, ':', 1), count(*) FROM {self._table} GROUP BY 1 ORDER BY 1"  # noqa: S608  # a checked name
        return dict(cast("list[tuple[str, int]]", self._run(sql, ())[0]))

    def stale(self, master_id: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        sql = (
            f"SELECT name, wrapped FROM {self._table} WHERE name > ? "  # noqa: S608  # a checked name
            "AND substr(wrapped, 1, 8) <> ? AND name <> 'master' ORDER BY name LIMIT ?"
        )
        return cast("list[tuple[str, bytes]]", self._run(sql, (after, master_id, limit))[0])

    def counts(self, master_id: bytes) -> tuple[int, int]:
        sql = (
            "SELECT count(*), count(*) FILTER (WHERE substr(wrapped, 1, 8) <> ?) "  # noqa: S608  # a checked name
            f"FROM {self._table} WHERE name <> 'master'"
        )
        return cast("tuple[int, int]", self._run(sql, (master_id,))[0][0])

    def rewrap(self, changes: Sequence[Rewrapped]) -> None:
        rows = [(new, name, old) for name, old, new in changes]
        with self._connected() as connection, connection.transaction():
            connection.cursor(binary=True).executemany(native(self._replace), rows)

    def forget_former(self) -> None:
        """What was overwritten is marked free. Readers and writers go on meanwhile."""
        self._run(f"VACUUM {self._table}", ())

    def close(self) -> None:
        with self._gate:
            self._drop()

    @property
    def _replace(self) -> str:
        return f"UPDATE {self._table} SET wrapped = ? WHERE name = ? AND wrapped = ?"  # noqa: S608  # a checked name

    def _run(self, sql: str, params: Sequence[Value]) -> tuple[list[Row], int]:
        """One statement, one transaction."""
        with self._connected() as connection, closing(connection.cursor(binary=True)) as cursor:
            cursor.execute(native(sql), params)
            return cursor.fetchall() if cursor.description else [], cursor.rowcount

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """The connection, for one thread.

        Asked before each use, since a change that failed half-way cannot simply be repeated.
        """
        with self._gate:
            if self._connection is not None:
                try:
                    self._connection.execute(b"SELECT 1")
                except psycopg.Error:
                    self._drop()
            if self._connection is None:
                self._connection = connect(self._address, watched=True)
            connection = self._connection
            try:
                yield connection
            except psycopg.Error as error:
                raise translated(error, connection) from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
