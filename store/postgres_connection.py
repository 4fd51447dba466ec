"""PostgreSQL: how a connection is opened, what its errors mean, and reading and writing on it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from urllib.parse import unquote
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    OperationalError,
    ProgrammingError,
)
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.numeric import NumericBinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from gatebook.projections.ports import Dialect, Row, Value
from gatebook.store.faults import ConstraintBroken, StoreFull, StoreRefused, StoreUnavailable
from gatebook.store.log_reader import COLUMNS, LARGEST, Decode, LogReader, LogTransaction, StoredRow
from gatebook.store.postgres_pulse import WatchedConnection, pulse_of

ROWS_AT_A_TIME = 2_000
LOCK_MILLISECONDS = 8_000
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Address:
    """Where a log is: a server's database, and the schema in it."""

    conninfo: str
    schema: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Takes `schema` out of the URL: libpq would refuse it. Raises `StoreRefused`."""
        base, _, query = url.partition("?")
        schema, kept = "gatebook", []
        for part in query.split("&") if query else []:
            name, _, value = part.partition("=")
            if name == "schema":
                schema = unquote(value)
            else:
                kept.append(part)
        if not _SCHEMA.fullmatch(schema):
            raise StoreRefused(f"{schema!r} cannot be a schema: use a-z, 0-9 and _, 41 at most")
        if base.count("@") > 1:  # libpq would quote what is behind the first as the host's name
            raise StoreRefused("the store's address has more than one @: write %40 in a password")
        conninfo = f"{base}?{'&'.join(kept)}" if kept else base
        try:
            conninfo_to_dict(conninfo)
        except psycopg.Error as error:
            # Of libpq's complaints only this one cannot quote a part of the password.
            reason = f": {error}" if "query parameter" in str(error) else ""
            raise StoreRefused(f"libpq cannot read the address of the store{reason}") from None
        return cls(conninfo, schema)

    def key(self, purpose: str) -> int:
        """The advisory lock for a purpose: a number, as PostgreSQL wants it."""
        digest = hashlib.sha256(f"gatebook\0{self.schema}\0{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    @property
    def channel(self) -> str:
        return f"{self.schema}_log"


class _WholeNumber(NumericBinaryLoader):
    """`sum(bigint)` is a numeric: our values are whole numbers."""

    def load(self, data: Any) -> Any:  # the driver's signature
        return int(super().load(data))


class _ZeroOrOne(BoolBinaryLoader):
    def load(self, data: Any) -> Any:  # the driver's signature
        return int(super().load(data))


def connect(
    address: Address,
    *,
    read_only: bool = False,
    watched: bool = False,
    schema: str | None = None,
) -> Connection:
    """A connection in autocommit. Raises `StoreUnavailable`.

    Durability is ours to choose, whatever the server's default says. With `watched`, as with
    `read_only`, a server that hangs is noticed; a write goes on when the server does.
    """
    pulse = pulse_of(address.conninfo)
    if pulse.is_gone:
        raise StoreUnavailable("the store cannot be reached: it does not answer")
    settings = {
        "search_path": schema or address.schema,
        "synchronous_commit": "on",
        "lock_timeout": str(LOCK_MILLISECONDS),
        "default_transaction_read_only": "on" if read_only else "off",
    }
    if not read_only:
        # Writes look up keys: planning them anew each time costs more than running them.
        settings["plan_cache_mode"] = "force_generic_plan"
    given = conninfo_to_dict(address.conninfo)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    defaults = {
        "connect_timeout": 5,
        "application_name": "gatebook",
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "client_encoding": "UTF8",
    }
    forced = {"options": f"{given.pop('options', None) or ''} {options}".strip()}
    try:
        connection = WatchedConnection.connect(autocommit=True, **{**defaults, **given, **forced})  # type: ignore[arg-type]  # libpq's own parameters, by name
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.ConnectionTimeout):
            pulse.missed()
        said = " ".join(str(error).split())
        raise StoreUnavailable(f"the store cannot be reached: {said}") from error
    if read_only or watched:
        connection.watched_by(pulse)
    connection.prepare_threshold = 2
    connection.adapters.register_loader("uuid", ByteaBinaryLoader)
    connection.adapters.register_loader("numeric", _WholeNumber)
    connection.adapters.register_loader("bool", _ZeroOrOne)
    return connection


def is_lost(error: psycopg.Error, connection: Connection) -> bool:
    """Whether the connection, and not only the statement, has failed."""
    state = error.sqlstate
    return connection.closed or state is None or state[:2] in ("08", "57")


def translated(error: psycopg.Error, connection: Connection) -> DatabaseError:
    """The library's exception for one of the driver's."""
    state, message = error.sqlstate or "", str(error).strip()
    if state == "53100":
        return StoreFull(f"there is no room for this write: {message}")
    if state[:2] == "40":  # deadlock: it may work when done again
        return OperationalError(message)
    if state in ("25006", "55P03") or state[:2] == "53":
        return StoreUnavailable(f"the store cannot be used: {message}")
    if isinstance(error, psycopg.IntegrityError):
        return ConstraintBroken(message)
    if isinstance(error, psycopg.DataError) or state[:2] == "54":
        return DataError(message)
    if isinstance(error, psycopg.ProgrammingError):
        return ProgrammingError(message)
    if is_lost(error, connection):
        return StoreUnavailable(f"the connection to the store was lost: {message}")
    return DatabaseError(message)


@functools.lru_cache(maxsize=1024)
def native(sql: str) -> bytes:
    """The statement with the driver's placeholders."""
    return sql.replace("?", "%s").encode()


class PostgresReader(LogReader):
    """One connection."""

    dialect: ClassVar[Dialect] = "postgresql"

    def __init__(self, address: Address, decode: Decode, *, read_only: bool = True) -> None:
        super().__init__(decode)
        self.connection = connect(address, read_only=read_only)
        self._cursor = self.connection.cursor(binary=True)
        self._names = itertools.count()

    def usable(self) -> bool:
        return (
            not self.connection.closed
            and self.connection.info.transaction_status is TransactionStatus.IDLE
        )

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, params: Sequence[Value | UUID] = ()) -> list[Row]:
        try:
            self._cursor.execute(native(sql), params or None)
            return self._cursor.fetchall() if self._cursor.description else []
        except psycopg.Error as error:
            raise translated(error, self.connection) from error

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """Through a cursor of the server: inside a transaction only."""
        try:
            with self.connection.cursor(f"rows_{next(self._names)}", binary=True) as cursor:
                cursor.itersize = ROWS_AT_A_TIME
                cursor.execute(native(sql), params or None)
                yield from cursor
        except psycopg.Error as error:
            raise translated(error, self.connection) from error

    def begin_snapshot(self) -> None:
        self.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.head()  # the snapshot is taken by the first statement, not by BEGIN

    def end_snapshot(self) -> None:
        if not self.connection.closed:
            self.query("COMMIT")  # the driver forgets what it prepared after a ROLLBACK

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
            (stream_id, gt, lte, limit),
        )
        return cast("list[StoredRow]", found)

    def stream_key(self, stream_id: UUID) -> Any:
        return stream_id


class PostgresTransaction(PostgresReader, LogTransaction):
    """A connection that may write. Its session begins and ends the transactions."""

    def __init__(self, address: Address, decode: Decode) -> None:
        super().__init__(address, decode, read_only=False)

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        try:
            return self._cursor.execute(native(sql), params or None).rowcount
        except psycopg.Error as error:
            raise translated(error, self.connection) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._cursor.executemany(native(sql), rows)
        except psycopg.Error as error:
            raise translated(error, self.connection) from error
