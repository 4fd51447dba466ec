"""Creating the log's schema and the keyring's in a PostgreSQL database, and looking for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from gatebook.store import log_schema
from gatebook.store.faults import StoreForeign, StoreMissing
from gatebook.store.log_reader import Decode
from gatebook.store.postgres_connection import Address, PostgresTransaction

_KEYS = (
    'CREATE TABLE IF NOT EXISTS {}.keys (name TEXT COLLATE "C" PRIMARY KEY, '
    "wrapped BYTEA NOT NULL, created_at BIGINT NOT NULL)"
)


def keys_schema(address: Address) -> str:
    return f"{address.schema}_keys"


def create(address: Address, decode: Decode) -> None:
    """Makes an empty log and its keyring in one transaction, unless there is a log already."""
    with closing(PostgresTransaction(address, decode)) as tx, transaction(tx):
        tx.query("SELECT pg_advisory_xact_lock(?)", (address.key("create"),))
        if not exists(tx, address):
            make(tx, address)


def make(tx: PostgresTransaction, address: Address) -> None:
    """Makes the schemas and their tables, in the caller's transaction."""
    keys = keys_schema(address)
    for schema in (address.schema, keys):
        tx.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    tx.execute(_KEYS.format(keys))
    log_schema.create(tx)


def stored_version(address: Address, decode: Decode) -> int:
    """Raises `StoreMissing` or `StoreForeign` when there is no log of ours."""
    with closing(PostgresTransaction(address, decode)) as tx:
        if not exists(tx, address):
            raise StoreMissing(
                f"there is no store in the schema {address.schema}: create one with `gatebook init`"
            )
        return log_schema.stored_version(tx)


def exists(tx: PostgresTransaction, address: Address) -> bool:
    """Whether there is a log of ours. Raises `StoreForeign`."""
    names = [f"{address.schema}.{table}" for table in ("log", "schema")]
    found = tx.query("SELECT to_regclass(?)::text, to_regclass(?)::text", names)[0]
    if found == (None, None):
        return False
    if None in found:
        raise StoreForeign(f"the schema {address.schema} is used by another program")
    return True


@contextmanager
def transaction(tx: PostgresTransaction) -> Iterator[None]:
    """Commits at the end of the block; an exception rolls back."""
    tx.execute("BEGIN")
    try:
        yield
    except BaseException:
        tx.execute("ROLLBACK")
        raise
    tx.execute("COMMIT")
