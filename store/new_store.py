"""A store that is filled and then is there as a whole: what a restore and a copy end in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NoReturn
from uuid import UUID

import psycopg

from gatebook.projections import tree_tables
from gatebook.store import log_schema, postgres_schema
from gatebook.store.faults import StoreRefused
from gatebook.store.key_rows import KeyRow, put_file, put_rows
from gatebook.store.log_reader import LogTransaction, StoredRow
from gatebook.store.new_file import check_free, new_file
from gatebook.store.opening import POSTGRESQL, keys_path, sqlite_path
from gatebook.store.postgres_connection import Address, PostgresTransaction, translated
from gatebook.store.sqlite_connection import SqliteTransaction

_INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)"
_COPY = b"COPY log FROM STDIN (FORMAT BINARY)"
_TYPES = ("int8", "int8", "uuid", "int8", "text", "bytea", "bytea")


@contextmanager
def new_store(url: str, keys: list[KeyRow] | None) -> Iterator[LogTransaction]:
    """Yields a transaction on an empty log at `url`, where there is no log yet.

    With the end of the block all of it is there. A crash before leaves no log there, at most its
    keyring: run it again. `keys` None leaves the keyring alone. Raises `StoreRefused`.
    """
    if url.startswith(POSTGRESQL):
        with _in_schema(Address.parse(url), keys) as tx:
            yield tx
        return
    path = sqlite_path(url)
    check_no_log(url)
    if keys is not None:
        put_file(keys_path(path), keys)
    with new_file(path) as part, log_file(part, journal="WAL") as tx:
        yield tx


def check_no_log(url: str) -> None:
    """Raises `StoreRefused` when there is a log at a SQLite URL, or the remains of one."""
    if url.startswith(POSTGRESQL):
        return  # asked in the transaction
    path = sqlite_path(url)
    if os.path.exists(path):
        raise StoreRefused(f"there is a store at {path} already: move it away first")
    check_free(path)
    for remains in (f"{path}-wal", f"{path}-journal"):
        if os.path.exists(remains):
            raise StoreRefused(f"{remains} is left of a former store: move it away first")


@contextmanager
def log_file(path: str, *, journal: str = "DELETE") -> Iterator[LogTransaction]:
    """Fills an empty file with a log. Not durable before the caller has synced the file."""
    with closing(SqliteTransaction(path, unread)) as tx:
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):
            tx.query(f"PRAGMA {pragma}")
        tx.execute("BEGIN")
        log_schema.create(tx)
        tree_tables.create(tx)
        tx.execute(f"PRAGMA application_id={log_schema.APPLICATION_ID}")
        yield tx
        tx.execute("COMMIT")
        tx.query(f"PRAGMA journal_mode={journal}")


@contextmanager
def _in_schema(address: Address, keys: list[KeyRow] | None) -> Iterator[LogTransaction]:
    """One transaction makes schema, keyring and log: PostgreSQL undoes all of it after a crash."""
    with closing(PostgresTransaction(address, unread)) as tx, postgres_schema.transaction(tx):
        for purpose in ("create", "append"):
            tx.query("SELECT pg_advisory_xact_lock(?)", (address.key(purpose),))
        if not postgres_schema.exists(tx, address):
            postgres_schema.make(tx, address)
        elif tx.head():
            raise StoreRefused(f"there is a store in the schema {address.schema} already")
        tree_tables.create(tx)
        if keys is not None:
            put_rows(tx, address, keys)
        yield tx


def insert(tx: LogTransaction, rows: Sequence[StoredRow]) -> None:
    """Adds events as they are stored."""
    if not isinstance(tx, PostgresTransaction):
        tx.executemany(_INSERT, rows)
        return
    try:
        with tx.connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for position, at, stream, *rest in rows:
                copy.write_row((position, at, UUID(bytes=stream), *rest))
    except psycopg.Error as error:
        raise translated(error, tx.connection) from error


def unread(*_row: object, **_options: object) -> NoReturn:
    """In the place of a decoder: a copy does not look into events."""
    raise TypeError("events that are copied are not read")
