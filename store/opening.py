"""From a store's URL to the open store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from eventsourcing.persistence import OperationalError

from gatebook.projections.ports import InlineFold
from gatebook.store import log_schema, postgres_schema, sqlite
from gatebook.store.faults import StoreMissing, StoreOverwritten, StoreRefused
from gatebook.store.keyring_table import KeyTable, SqliteKeyTable, create_keys_file
from gatebook.store.log import Log
from gatebook.store.log_reader import Decode
from gatebook.store.postgres import PostgresLog
from gatebook.store.postgres_connection import Address
from gatebook.store.postgres_keys import PostgresKeyTable
from gatebook.store.settings import ConfigurationError, StoreAway
from gatebook.store.sqlite import SqliteLog

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def open_log(
    url: str,
    *,
    decode: Decode,
    now: Callable[[], int],
    inline: InlineFold | None = None,
    create: bool = False,
    readers: int | None = None,
) -> Log:
    """Opens the log at `sqlite:////absolute/path` or `postgresql://...?schema=gatebook`.

    `now` gives microseconds since the epoch. `readers` bounds the connections that read.
    With `create`, a missing store is made, with an empty keyring; one that exists is opened.
    Raises `StoreMissing`, `StoreForeign`, `SchemaMismatch`, and `OperationalError` when the store
    cannot be reached.
    """
    if url.startswith(POSTGRESQL):
        address = Address.parse(url)
        if create:
            postgres_schema.create(address, decode)
        log_schema.check(postgres_schema.stored_version(address, decode))
        return PostgresLog(address, decode=decode, now=now, inline=inline, readers=readers or 16)
    path = sqlite_path(url)
    if create:
        # The keyring first: a log without one is then known to have lost it.
        sqlite.create(path, decode, before=lambda: create_keys_file(keys_path(path)))
    log_schema.check(sqlite.stored_version(path, decode))
    return SqliteLog(path, decode=decode, now=now, inline=inline, readers=readers or 64)


def open_keys(url: str) -> KeyTable:
    """Opens the keyring of the log at `url`. Raises `StoreMissing` when it is lost."""
    if url.startswith(POSTGRESQL):
        return PostgresKeyTable(Address.parse(url))
    return SqliteKeyTable(keys_path(sqlite_path(url)))


def check_log_exists(url: str) -> None:
    """Raises `StoreMissing` for a SQLite log that is not there, and says what else is."""
    if url.startswith(POSTGRESQL):
        return
    path = sqlite_path(url)
    if os.path.exists(path) and os.path.getsize(path):
        return
    if os.path.exists(keys_path(path)):
        raise StoreMissing(
            f"there is no log at {path}, though its keyring is there: restore the log's backup"
        )
    raise StoreMissing(f"there is no store at {path}: check [store] url, or run: gatebook init")


def keys_path(log_path: str) -> str:
    """`gatebook.db` has its keyring in `gatebook.keys.db`."""
    return f"{os.path.splitext(log_path)[0]}.keys.db"


def sqlite_path(url: str) -> str:
    """The absolute path of a SQLite log. Raises `StoreRefused`."""
    if not url.startswith(SQLITE):
        raise StoreRefused(
            f"a store is at sqlite:///... or postgresql://..., not {url.partition(':')[0]}"
        )
    path = url[len(SQLITE) :]
    if not os.path.isabs(path):
        raise StoreRefused(f"the path of the store must be absolute, not {path}")
    return path


def refusal(error: Exception, what: str = "") -> ConfigurationError:
    """What a store's failure means to whoever wants to start: it is away, or it is the wrong one.

    `what` stands before the failure's own words.
    """
    is_away = isinstance(error, OperationalError) and not isinstance(error, StoreOverwritten)
    is_away = is_away or (isinstance(error, OSError) and error.errno in _PASSING)
    return (StoreAway if is_away else ConfigurationError)(f"{what}{error}")
