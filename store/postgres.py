"""The log in a schema of a PostgreSQL database: sessions, news between nodes, leases."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import ClassVar, Self, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import InternalError
from psycopg.pq import TransactionStatus

from gatebook.projections.ports import Dialect, InlineFold
from gatebook.store import log_schema
from gatebook.store.batch import LEFT_OUT, LogRow
from gatebook.store.faults import CommitLost, SchemaMismatch, StoreUnavailable
from gatebook.store.log import Lease, Log, News
from gatebook.store.log_reader import Decode
from gatebook.store.postgres_connection import (
    Address,
    Connection,
    PostgresReader,
    PostgresTransaction,
    connect,
    is_lost,
    translated,
)

POLL_SECONDS = 1.0

_INSERT_ONE = b"INSERT INTO log VALUES (%s, %s, %s, %s, %s, %s, %s)"
_INSERT = b"""
INSERT INTO log SELECT %s + place, %s, stream_id, version, topic, metadata, payload
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[], %s::bytea[])
WITH ORDINALITY AS added (stream_id, version, topic, metadata, payload, place)
"""


class PostgresSession:
    """One write connection. The append lock is an advisory one of the transaction."""

    def __init__(self, address: Address, decode: Decode) -> None:
        self.transaction = PostgresTransaction(address, decode)
        self._connection = self.transaction.connection
        self._cursor = self._connection.cursor()
        self._channel = address.channel
        self._lock = f"SELECT pg_advisory_xact_lock({address.key('append')})"

    def begin(self, *, exclusive: bool = False) -> None:
        """Raises `StoreUnavailable`; then nothing is held."""
        self._control(f"BEGIN; {self._lock}" if exclusive else "BEGIN")

    def begin_append(self, streams: Collection[UUID]) -> tuple[int, dict[UUID, int]]:
        names = ",".join(stream_id.hex for stream_id in streams)
        # A statement after the lock's: one that had itself waited would see the old head.
        self._control(f"BEGIN; {self._lock}; SELECT * FROM log_look('{{{names}}}')")  # noqa: S608  # digits
        while self._cursor.nextset():
            pass
        (head, _, stored), *rows = self._cursor.fetchall()
        if stored != log_schema.VERSION:
            self.rollback()
            raise StoreUnavailable(str(SchemaMismatch(stored, log_schema.VERSION)))
        return head, {row[1]: row[2] for row in rows if row[2] is not None}

    def insert(self, rows: Sequence[LogRow]) -> None:
        try:
            if len(rows) == 1:
                self._cursor.execute(_INSERT_ONE, rows[0])
            else:
                positions, times, *columns = zip(*rows, strict=True)
                params = (positions[0] - 1, times[0], *map(list, columns))
                self._cursor.execute(_INSERT, params, binary=True)
        except psycopg.Error as error:
            raise translated(error, self._connection) from error
        if self._cursor.rowcount != len(rows):
            raise StoreUnavailable(LEFT_OUT)

    def commit(self, head: int | None = None) -> None:
        if self._connection.info.transaction_status is not TransactionStatus.INTRANS:
            # Somebody swallowed an error: COMMIT would roll back and report success.
            self.rollback()
            raise InternalError("a statement of this transaction failed and its error was hidden")
        tell = f"NOTIFY {self._channel}, '{head}'; " if head is not None else ""
        try:
            self._cursor.execute(f"{tell}COMMIT".encode(), prepare=False)
        except psycopg.Error as error:
            if is_lost(error, self._connection):
                raise CommitLost(f"the connection was lost at COMMIT: {error}") from error
            self.rollback()
            raise translated(error, self._connection) from error

    def rollback(self) -> None:
        try:
            if self._connection.info.transaction_status is not TransactionStatus.IDLE:
                self._connection.execute(b"ROLLBACK", prepare=False)
        except psycopg.Error:
            self._connection.close()

    def usable(self) -> bool:
        return self.transaction.usable()

    def close(self) -> None:
        self.transaction.close()

    def _control(self, statements: str) -> None:
        try:
            self._cursor.execute(statements.encode(), prepare=False)
        except psycopg.Error as error:
            self.rollback()
            raise translated(error, self._connection) from error


class PostgresLog(Log):
    """The store to scale: any number of processes, on any number of machines."""

    dialect: ClassVar[Dialect] = "postgresql"

    def __init__(
        self,
        address: Address,
        *,
        decode: Decode,
        now: Callable[[], int],
        inline: InlineFold | None = None,
        readers: int = 16,
    ) -> None:
        super().__init__(
            connect_reader=lambda: PostgresReader(address, decode),
            connect_writer=lambda: PostgresSession(address, decode),
            decode=decode,
            now=now,
            inline=inline,
            readers=readers,
        )
        self._address = address
        self._listener = Listener(address, self._news)

    def wait(self, position: int, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while True:
            told = self._news.count
            head = self.head()
            if head > position or (left := deadline - time.monotonic()) <= 0:
                return head
            self._listener.start()
            self._news.since(told, min(left, POLL_SECONDS))

    def lease(self, name: str) -> Lease:
        self._check_process()
        return ConnectionLease(name, self._address)

    def close(self) -> None:
        super().close()
        self._listener.stop()


class Listener:
    """A thread that hears of other processes' commits. It may miss some: waiters also poll."""

    def __init__(self, address: Address, news: News) -> None:
        self._address = address
        self._news = news
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake: socket.socket | None = None

    def start(self) -> None:
        """Does nothing when it runs already."""
        with self._gate:
            if self._thread is None and not self._stopping.is_set():
                ear, self._wake = socket.socketpair()
                self._thread = threading.Thread(
                    target=self._run, args=(ear,), name="log-listener", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with self._gate:
            thread, wake, self._wake = self._thread, self._wake, None
        if wake is not None:
            wake.close()
        if thread is not None:
            thread.join(10)

    def _run(self, ear: socket.socket) -> None:
        with ear:
            while not self._stopping.is_set():
                try:
                    with connect(self._address) as connection:
                        self._listen(connection, ear)
                except (psycopg.Error, StoreUnavailable, OSError):
                    self._stopping.wait(POLL_SECONDS)

    def _listen(self, connection: Connection, ear: socket.socket) -> None:
        connection.execute(f"LISTEN {self._address.channel}".encode())
        while not self._stopping.is_set():
            select.select([connection.fileno(), ear.fileno()], [], [])
            for _ in connection.notifies(timeout=0):
                self._news.tell()


class ConnectionLease:
    """A lease on the server: an advisory lock of a connection, and lost with it."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self._address = address
        self._key = address.key(f"lease {name}")
        self._gate = threading.Lock()
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        with self._gate:
            if self._is_alive():
                return True
            connection = connect(self._address)
            try:
                row = connection.execute(
                    b"SELECT pg_try_advisory_lock(%s)", (self._key,)
                ).fetchone()
            except psycopg.Error as error:
                connection.close()
                raise translated(error, connection) from error
            if row is not None and cast("bool", row[0]):
                self._connection = connection
                return True
            connection.close()
            return False

    def held(self) -> bool:
        with self._gate:
            return self._is_alive()

    def release(self) -> None:
        with self._gate:
            self._drop()

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

    def _is_alive(self) -> bool:
        if self._connection is not None:
            try:
                self._connection.execute(b"SELECT 1")
            except psycopg.Error:
                self._drop()
        return self._connection is not None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
