"""The keyring's rows in a schema of their own, beside the log's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import cast

import psycopg

from gatebook.projections.ports import Row, Value
from gatebook.store.faults import StoreMissing
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

    def add(self, name: str, wrapped: bytes, created_at_us: int) -> bool:
        sql = f"INSERT INTO {self._table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608  # a checked name
        return self._run(sql, (name, wrapped, created_at_us))[1] == 1

    def replace(self, name: str, old: bytes, new: bytes) -> bool:
        sql = f"UPDATE {self._table} SET wrapped = ? WHERE name = ? AND wrapped = ?"  # noqa: S608  # a checked name
        return self._run(sql, (new, name, old))[1] == 1

    def remove(self, name: str) -> bool:
        return self._run(f"DELETE FROM {self._table} WHERE name = ?", (name,))[1] == 1  # noqa: S608  # a checked name

    def names(self, prefix: str = "") -> list[str]:
        sql = f"SELECT name FROM {self._table} WHERE starts_with(name, ?) ORDER BY name"  # noqa: S608  # a checked name
        return [cast("str", row[0]) for row in self._run(sql, (prefix,))[0]]

    def close(self) -> None:
        with self._gate:
            self._drop()

    def _run(self, sql: str, params: Sequence[Value]) -> tuple[list[Row], int]:
        """One statement, one transaction."""
        with self._gate:
            connection = self._connected()
            try:
                with closing(connection.cursor(binary=True)) as cursor:
                    cursor.execute(native(sql), params)
                    return cursor.fetchall() if cursor.description else [], cursor.rowcount
            except psycopg.Error as error:
                raise translated(error, connection) from error

    def _connected(self) -> Connection:
        """Asked before each use, since a change that failed half-way cannot simply be repeated."""
        if self._connection is not None:
            try:
                self._connection.execute(b"SELECT 1")
            except psycopg.Error:
                self._drop()
        if self._connection is None:
            self._connection = connect(self._address)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
