"""The log in one SQLite file: sessions, the lock between processes, and creating the file."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import ClassVar, Self, cast
from uuid import UUID

from gatebook.projections.ports import Dialect, InlineFold
from gatebook.store import log_schema
from gatebook.store.batch import LEFT_OUT, LogRow
from gatebook.store.faults import (
    SchemaMismatch,
    StoreForeign,
    StoreMissing,
    StoreOverwritten,
    StoreUnavailable,
)
from gatebook.store.file_lock import FileLock
from gatebook.store.log import Lease, Log
from gatebook.store.log_reader import Decode
from gatebook.store.sqlite_connection import (
    SqliteReader,
    SqliteTransaction,
    create_private_file,
    translated,
)

LOCK_SECONDS = 8.0
POLL_SECONDS = 0.01
_INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)"
_HEAD = "SELECT coalesce(max(position), 0), (SELECT version FROM schema) FROM log"
_VERSION = "SELECT max(version) FROM log WHERE stream_id = ?"


class SqliteSession:
    """One write connection, and the lock files that stand before SQLite's own lock.

    The locks only keep the waiting fair; `BEGIN IMMEDIATE` is what keeps the log correct.
    """

    def __init__(self, path: str, decode: Decode) -> None:
        self.transaction = SqliteTransaction(path, decode)
        self._connection = self.transaction.connection
        self._is_broken = False
        self._lock = FileLock(f"{path}.lock", turnstile=f"{path}.turn")

    def begin(self, *, exclusive: bool = False) -> None:  # noqa: ARG002  # every write excludes all others here
        """Raises `StoreUnavailable`; then nothing is held."""
        try:
            if not self._lock.acquire(LOCK_SECONDS):
                raise StoreUnavailable(f"another process wrote for {LOCK_SECONDS:g} s")
            if not self.transaction.usable():
                raise StoreUnavailable("the database file is gone, or another took its place")
            self._connection.execute("BEGIN IMMEDIATE")
        except (OSError, sqlite3.Error) as error:
            self._lock.release()
            raise translated(error) from error
        except BaseException:
            self._lock.release()
            raise

    def begin_append(self, streams: Collection[UUID]) -> tuple[int, dict[UUID, int]]:
        self.begin()
        try:
            ((head, stored),) = self.transaction.query(_HEAD)
            if stored != log_schema.VERSION:
                raise StoreUnavailable(str(SchemaMismatch(cast("int", stored), log_schema.VERSION)))
            found = {
                stream_id: self.transaction.query(_VERSION, (stream_id.bytes,))[0][0]
                for stream_id in streams
            }
        except BaseException:
            self.rollback()
            raise
        return cast("int", head), {
            key: cast("int", value) for key, value in found.items() if value is not None
        }

    def insert(self, rows: Sequence[LogRow]) -> None:
        written = self._connection.total_changes
        self.transaction.executemany(
            _INSERT, [(row[0], row[1], row[2].bytes, *row[3:]) for row in rows]
        )
        if self._connection.total_changes - written < len(rows):
            raise StoreUnavailable(LEFT_OUT)

    def commit(self, head: int | None = None) -> None:  # noqa: ARG002  # other processes poll
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            raise translated(error) from error
        self._lock.release()

    def rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._is_broken = True
        finally:
            self._lock.release()

    def usable(self) -> bool:
        return not self._is_broken and self.transaction.usable()

    def close(self) -> None:
        self.transaction.close()
        self._lock.close()


class SqliteLog(Log):
    """The embedded store. Several processes may have the file open."""

    dialect: ClassVar[Dialect] = "sqlite"

    def __init__(
        self,
        path: str,
        *,
        decode: Decode,
        now: Callable[[], int],
        inline: InlineFold | None = None,
        readers: int = 64,
    ) -> None:
        super().__init__(
            connect_reader=lambda: SqliteReader(path, decode),
            connect_writer=lambda: SqliteSession(path, decode),
            decode=decode,
            now=now,
            inline=inline,
            readers=readers,
        )
        self.path = path

    def wait(self, position: int, timeout: float) -> int:
        self._check_process()
        deadline = time.monotonic() + timeout
        with self._readers.lend() as lent:
            reader = cast("SqliteReader", lent)
            while True:
                told, seen = self._news.count, reader.data_version()
                head = reader.head()
                if head > position or (left := deadline - time.monotonic()) <= 0:
                    return head
                while left > 0 and reader.data_version() == seen:
                    if self._news.since(told, min(left, POLL_SECONDS)):
                        break
                    left = deadline - time.monotonic()

    def lease(self, name: str) -> Lease:
        self._check_process()
        return FileLease(name, f"{self.path}.{name}.lease")


class FileLease:
    """A lease on this machine: an exclusive lock on a file beside the database."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._lock = FileLock(path)
        self._gate = threading.Lock()

    def try_acquire(self) -> bool:
        with self._gate:
            try:
                return self._lock.held or self._lock.acquire(0)
            except OSError as error:
                raise translated(error) from error

    def held(self) -> bool:
        return self._lock.held

    def release(self) -> None:
        with self._gate:
            self._lock.close()

    def __enter__(self) -> Self:
        self.try_acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def create(path: str, decode: Decode, *, before: Callable[[], None]) -> None:
    """Makes an empty log at `path`, unless a finished one is there. Raises `StoreForeign`.

    Several processes may try at once. `before` is run first, by the one that makes it.
    """
    lock = FileLock(f"{path}.lock")
    try:
        if not lock.acquire(LOCK_SECONDS):
            raise StoreUnavailable(f"{path} is being written by another process")
        if not os.path.exists(path):
            create_private_file(path)
        with _opened(path, decode) as tx:
            if _is_finished(tx, path):
                return
            before()
            tx.query("PRAGMA journal_mode=WAL")
            tx.execute("BEGIN IMMEDIATE")
            # A crash before COMMIT leaves an empty file, which the next attempt takes up.
            log_schema.create(tx)
            tx.execute(f"PRAGMA application_id={log_schema.APPLICATION_ID}")
            tx.execute("COMMIT")
    except OSError as error:
        raise translated(error) from error
    finally:
        lock.close()


def stored_version(path: str, decode: Decode) -> int:
    """Raises `StoreMissing` or `StoreForeign` when there is no log of ours."""
    if not os.path.exists(path):
        raise StoreMissing(f"there is no store at {path}: create one with `gatebook init`")
    with _opened(path, decode) as tx:
        if not _is_finished(tx, path):
            raise StoreMissing(f"{path} was never finished: run `gatebook init` again")
        return log_schema.stored_version(tx)


@contextmanager
def _opened(path: str, decode: Decode) -> Iterator[SqliteTransaction]:
    try:
        with closing(SqliteTransaction(path, decode)) as tx:
            yield tx
    except StoreOverwritten as error:
        raise StoreForeign(f"{path} is not a database") from error


def _is_finished(tx: SqliteTransaction, path: str) -> bool:
    mark = tx.query("PRAGMA application_id")[0][0]
    if mark == log_schema.APPLICATION_ID:
        return True
    if mark or tx.query("SELECT count(*) FROM sqlite_schema")[0][0]:
        raise StoreForeign(f"{path} is a database of another program")
    return False
