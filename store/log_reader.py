"""Reading the log: what both stores share, given a way to run a statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Metadata, Recorded
from gatebook.domain.event import Event, UnreadableEvent
from gatebook.projections.ports import Dialect, Row, Value


class Decode(Protocol):
    """From a stored row to what it means. Raises `UnreadableEvent`."""

    def __call__(
        self,
        topic: str,
        stream_id: UUID,
        version: int,
        payload: bytes,
        metadata: bytes,
        position: int,
        /,
        *,
        sealed: bool = False,
    ) -> tuple[Event, Metadata]:
        """With `sealed`, personal and secret fields are left None, whatever keys exist."""
        ...


StoredRow = tuple[int, int, bytes, int, str, bytes, bytes]
"""(position, recorded_at, stream id, version, topic, metadata, payload), as stored."""

COLUMNS = "position, recorded_at, stream_id, version, topic, metadata, payload"
LARGEST = 2**63 - 1
AT_ONCE = 500
"""Positions named in one statement."""


class LogReader(ABC):
    """Statements and questions about the log on one connection. Not for two threads at once."""

    dialect: ClassVar[Dialect]

    def __init__(self, decode: Decode) -> None:
        self._decode = decode

    @abstractmethod
    def usable(self) -> bool:
        """False when the connection must be replaced before the next use."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Raises `StoreUnavailable`, or another of the library's errors for a bad statement."""

    @abstractmethod
    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterable[Row]:
        """Like `query`, in bounded memory. Several may be read in turns."""

    @abstractmethod
    def begin_snapshot(self) -> None:
        """From here to `end_snapshot` every read sees the same head."""

    @abstractmethod
    def end_snapshot(self) -> None: ...

    @abstractmethod
    def raw(self, after: int, limit: int, upto: int | None = None) -> list[StoredRow]:
        """Rows as stored, `after < position <= upto`, ascending: what a verifier reads."""

    def raw_at(self, positions: Sequence[int]) -> list[StoredRow]:
        """Rows as stored at some positions, ascending; at most `AT_ONCE`."""
        marks = ", ".join("?" * len(positions))
        sql = f"SELECT {COLUMNS} FROM log WHERE position IN ({marks}) ORDER BY position"  # noqa: S608  # constants
        return cast("list[StoredRow]", self.query(sql, list(positions)))

    @abstractmethod
    def raw_stream(
        self, stream_id: UUID, gt: int, lte: int, *, newest_first: bool, limit: int
    ) -> list[StoredRow]:
        """Rows of a stream as stored, `gt < version <= lte`."""

    def head(self) -> int:
        return cast("int", self.query("SELECT coalesce(max(position), 0) FROM log")[0][0])

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """See `Reader.read_sealed`, but opened: what an auditor may see."""
        return self.decoded(self.raw(after, limit, upto))

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """See `Reader.read_sealed`."""
        return self.decoded(self.raw(after, limit, upto), sealed=True)

    def events(self, positions: Collection[int], *, sealed: bool = False) -> list[Recorded]:
        """The events at some positions, ascending. Raises `UnreadableEvent`."""
        found: list[Recorded] = []
        wanted = sorted(positions)
        for start in range(0, len(wanted), AT_ONCE):
            rows = self.raw_at(wanted[start : start + AT_ONCE])
            found += self._whole(rows, sealed=sealed)
        return found

    def event(self, position: int) -> Recorded | None:
        """The event at a position, if the log goes so far. Raises `UnreadableEvent`."""
        found = self.read(position - 1, 1, position)
        return found[0] if found else None

    def stream(
        self, stream_id: UUID, after_version: int = 0, upto_position: int | None = None
    ) -> list[Recorded]:
        """A stream's events in order. Raises `UnreadableEvent`: half a stream decides nothing."""
        rows = self.raw_stream(stream_id, after_version, LARGEST, newest_first=False, limit=LARGEST)
        if upto_position is not None:
            rows = [row for row in rows if row[0] <= upto_position]
        return self._whole(rows)

    def streams(self, stream_ids: Sequence[UUID], upto: int) -> list[Recorded]:
        """The events of many streams, `position <= upto`, ascending, sealed fields left out."""
        found: list[StoredRow] = []
        for start in range(0, len(stream_ids), AT_ONCE):
            some = [self.stream_key(one) for one in stream_ids[start : start + AT_ONCE]]
            sql = f"SELECT {COLUMNS} FROM log WHERE stream_id IN ({', '.join('?' * len(some))})"  # noqa: S608  # constants
            found += cast("list[StoredRow]", self.query(sql, some))
        return self._whole(sorted(row for row in found if row[0] <= upto), sealed=True)

    @abstractmethod
    def stream_key(self, stream_id: UUID) -> Any:
        """A stream's id as this store's driver takes it."""

    def last(self, stream_id: UUID, count: int) -> list[Recorded]:
        """The newest `count` events of a stream, ascending. Raises `UnreadableEvent`."""
        rows = self.raw_stream(stream_id, -1, LARGEST, newest_first=True, limit=count)
        rows.reverse()
        return self._whole(rows)

    def decoded(self, rows: Sequence[StoredRow], *, sealed: bool = False) -> list[Recorded]:
        """All of the rows, or those before an unreadable one; raises when that is the first."""
        decode, as_uuid = self._decode, msgspec.convert
        read: list[Recorded] = []
        keep = read.append
        try:
            for position, recorded_at, stream, version, topic, metadata, payload in rows:
                stream_id = as_uuid(stream, UUID)
                event, envelope = decode(
                    topic, stream_id, version, payload, metadata, position, sealed=sealed
                )
                keep(Recorded(position, recorded_at, stream_id, version, topic, event, envelope))
        except UnreadableEvent:
            if not read:
                raise
        return read

    def _whole(self, rows: Sequence[StoredRow], *, sealed: bool = False) -> list[Recorded]:
        read = self.decoded(rows, sealed=sealed)
        if len(read) < len(rows):
            self.decoded(rows[len(read) :], sealed=sealed)
        return read


class LogTransaction(LogReader):
    """A `LogReader` inside a write transaction."""

    @abstractmethod
    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Returns the number of rows touched."""

    @abstractmethod
    def executemany(self, sql: str, rows: Sequence[Sequence[Value]]) -> None: ...


if TYPE_CHECKING:
    from gatebook.projections.ports import Reader, Transaction

    def _conforms(reader: LogReader, transaction: LogTransaction) -> tuple[Reader, Transaction]:
        return reader, transaction
