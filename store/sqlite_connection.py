"""SQLite: how a connection is opened, what its errors mean, and reading and writing on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, cast
from urllib.parse import quote
from uuid import UUID

from eventsourcing.persistence import DatabaseError, ProgrammingError

from gatebook.projections.ports import Dialect, Row, Value
from gatebook.store.faults import ConstraintBroken, StoreFull, StoreOverwritten, StoreUnavailable
from gatebook.store.log_reader import COLUMNS, LARGEST, Decode, LogReader, LogTransaction, StoredRow

BUSY_MILLISECONDS = 5_000
ROWS_AT_A_TIME = 1_000

# With secure_delete what is overwritten or dropped is zeroed, so that erasing a person does. A new
# index is sorted on a second core: a rebuild of a million events is a tenth quicker for it.
_PRAGMAS = (
    "synchronous=FULL",
    "trusted_schema=OFF",
    "temp_store=FILE",
    "secure_delete=ON",
    "threads=2",
)
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)

Identity = tuple[int, int]
"""Device and inode: which file a path means at the moment."""


def identity(path: str) -> Identity | None:
    """None when there is no such file, or it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def create_private_file(path: str) -> None:
    """An empty file for its owner only, whose name survives a power cut. Raises `OSError`."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def connect(path: str, *pragmas: str) -> sqlite3.Connection:
    """Opens an existing database; it never creates one. Raises `StoreUnavailable`."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=BUSY_MILLISECONDS / 1000,
        )
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error}") from error
    try:
        for pragma in (*_PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        connection.close()
        refused = translated(error)
        raise type(refused)(f"{path}: {refused}") from error
    return connection


def translated(error: sqlite3.Error | OSError) -> DatabaseError:
    """The library's exception for one of the driver's."""
    if isinstance(error, OSError):
        return StoreUnavailable(f"the store's files cannot be used: {error}")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull("there is no room for this write: the disk is full")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreOverwritten(f"the store's file is not a database: {error}")
    if code in _UNAVAILABLE:
        return StoreUnavailable(f"the store cannot be used: {error}")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return ConstraintBroken(str(error))
    if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError):
        return ProgrammingError(str(error))
    return DatabaseError(str(error))


class SqliteReader(LogReader):
    """One connection, and whether its path still means the file that was opened."""

    dialect: ClassVar[Dialect] = "sqlite"

    def __init__(self, path: str, decode: Decode, *, query_only: bool = True) -> None:
        super().__init__(decode)
        self._path = path
        # A write-ahead log that a long snapshot let grow is cut back to 64 MiB.
        own = "query_only=ON" if query_only else "journal_size_limit=67108864"
        self.connection = connect(path, own)
        self._identity = identity(path)

    def usable(self) -> bool:
        return identity(self._path) == self._identity

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        try:
            return self.connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise translated(error) from error

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterable[Row]:
        try:
            cursor = self.connection.execute(sql, params)
        except sqlite3.Error as error:
            raise translated(error) from error
        return _streamed(cursor)

    def begin_snapshot(self) -> None:
        self.query("BEGIN")
        self.head()  # a deferred transaction has no snapshot before its first read

    def end_snapshot(self) -> None:
        self.query("ROLLBACK")

    def raw(self, after: int, limit: int, upto: int | None = None) -> list[StoredRow]:
        found = self.query(
            f"SELECT {COLUMNS} FROM log WHERE position > ? AND position <= ? "  # noqa: S608  # constant
            "ORDER BY position LIMIT ?",
            (after, LARGEST if upto is None else upto, limit),
        )
        return cast("list[StoredRow]", found)

    def raw_stream(
        self, stream_id: UUID, gt: int, lte: int, *, newest_first: bool, limit: int
    ) -> list[StoredRow]:
        order = "DESC" if newest_first else "ASC"
        found = self.query(
            f"SELECT {COLUMNS} FROM log WHERE stream_id = ? AND version > ? AND version <= ? "  # noqa: S608  # constant
            f"ORDER BY version {order} LIMIT ?",
            (stream_id.bytes, gt, lte, limit),
        )
        return cast("list[StoredRow]", found)

    def stream_key(self, stream_id: UUID) -> Any:
        return stream_id.bytes

    def data_version(self) -> int:
        """Changes when another connection, of any process, has committed."""
        return cast("int", self.query("PRAGMA data_version")[0][0])


class SqliteTransaction(SqliteReader, LogTransaction):
    """A connection that may write. Its session begins and ends the transactions."""

    def __init__(self, path: str, decode: Decode) -> None:
        super().__init__(path, decode, query_only=False)

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        try:
            return self.connection.execute(sql, params).rowcount
        except sqlite3.Error as error:
            raise translated(error) from error

    def executemany(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        try:
            self.connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise translated(error) from error


def _streamed(cursor: sqlite3.Cursor) -> Iterator[Row]:
    try:
        while chunk := cursor.fetchmany(ROWS_AT_A_TIME):
            yield from chunk
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        cursor.close()
