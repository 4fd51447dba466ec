"""The keyring's rows as a whole: read at one moment, written to a place that has none."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import cast

import psycopg

from gatebook.store.faults import StoreRefused
from gatebook.store.keyring_table import create_keys_file
from gatebook.store.new_file import new_file
from gatebook.store.opening import POSTGRESQL, keys_path, sqlite_path
from gatebook.store.postgres_connection import Address, PostgresTransaction
from gatebook.store.postgres_connection import connect as connect_postgres
from gatebook.store.postgres_connection import translated as translated_postgres
from gatebook.store.postgres_schema import keys_schema
from gatebook.store.sqlite_connection import connect, translated

KeyRow = tuple[str, bytes, int]
"""(name, wrapped key, created_at in microseconds)."""

_SELECT = "SELECT name, wrapped, created_at FROM {} ORDER BY name"
_THERE = "there is a keyring already, and it is another one: {}"


def key_rows(url: str) -> list[KeyRow]:
    """All rows of the keyring of the log at `url`, as one statement saw them."""
    if not url.startswith(POSTGRESQL):
        return file_rows(keys_path(sqlite_path(url)))
    address = Address.parse(url)
    with closing(connect_postgres(address, read_only=True)) as connection:
        sql = _SELECT.format(f"{keys_schema(address)}.keys")
        try:
            return cast("list[KeyRow]", connection.execute(sql.encode()).fetchall())
        except psycopg.Error as error:
            raise translated_postgres(error, connection) from error


def file_rows(path: str) -> list[KeyRow]:
    """All rows of a keyring's file. Raises `StoreUnavailable`, `StoreRefused`."""
    if not os.path.exists(path):
        raise StoreRefused(f"there is no keyring at {path}")
    try:
        with closing(connect(path)) as connection:
            return connection.execute(_SELECT.format("keys")).fetchall()
    except sqlite3.Error as error:
        raise translated(error) from error


def write_file(path: str, rows: list[KeyRow]) -> None:
    """Makes a keyring's file, whole or not at all. Raises `StoreRefused` when one is there."""
    with new_file(path) as part:
        create_keys_file(part)
        _fill(part, rows)


def put_file(path: str, rows: list[KeyRow]) -> None:
    """Like `write_file`, and content with a file of the same rows: a second try after a crash."""
    if not os.path.exists(path):
        write_file(path, rows)
        return
    there = file_rows(path)
    if not there:
        _fill(path, rows)
    elif there != rows:
        raise StoreRefused(_THERE.format(f"move {path} away, or restore without a keyring"))


def put_rows(tx: PostgresTransaction, address: Address, rows: list[KeyRow]) -> None:
    """The same on PostgreSQL, in the transaction of the log."""
    table = f"{keys_schema(address)}.keys"
    there = tx.query(_SELECT.format(table))
    if not there:
        tx.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608  # a checked name
    elif there != rows:
        raise StoreRefused(_THERE.format(f"drop {table}, or restore without a keyring"))


def _fill(path: str, rows: list[KeyRow]) -> None:
    try:
        with closing(connect(path, "journal_mode=TRUNCATE")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO keys VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translated(error) from error
