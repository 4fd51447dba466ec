"""The log as the rest of Gatebook sees it: one class, whichever database holds it."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar
from uuid import UUID

from eventsourcing.persistence import ProgrammingError, StoredEvent

from gatebook.domain.envelope import Metadata, Recorded
from gatebook.projections.ports import Dialect, InlineFold, Row, Value
from gatebook.store.append import Writer
from gatebook.store.faults import StoreUnavailable
from gatebook.store.log_reader import Decode, LogReader, LogTransaction, StoredRow
from gatebook.store.pool import Pool, Poolable
from gatebook.store.session import Session

C = TypeVar("C", bound=Poolable)
T = TypeVar("T")


class Lease(Protocol):
    """A role that one process at a time may have. Lost with the process."""

    name: str

    def try_acquire(self) -> bool:
        """True when this object holds it now. Raises `StoreUnavailable`."""
        ...

    def held(self) -> bool:
        """Asks again: a lease on a server is lost with the connection."""
        ...

    def release(self) -> None: ...

    def __enter__(self) -> Self:
        """Tries once. Ask `held()` whether it was given."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class News:
    """Tells waiting threads that the head may have moved. A hint: who is told looks for himself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def tell(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def since(self, count: int, seconds: float) -> bool:
        """Whether something was told after `count` was read; waits for it up to `seconds`."""
        with self._changed:
            if self.count == count:
                self._changed.wait(seconds)
            return self.count != count


class Log(ABC):
    """An open store. Made by `gatebook.store.opening.open_log`. Any thread may use it.

    Everything here raises the library's errors: `OperationalError` when the store fails.
    """

    dialect: ClassVar[Dialect]

    def __init__(
        self,
        *,
        connect_reader: Callable[[], LogReader],
        connect_writer: Callable[[], Session],
        decode: Decode,
        now: Callable[[], int],
        inline: InlineFold | None,
        readers: int,
    ) -> None:
        self.decode = decode
        self._pid = os.getpid()
        self._readers: Pool[LogReader] = Pool(connect_reader, limit=readers)
        self._sessions: Pool[Session] = Pool(connect_writer, limit=4)
        self._news = News()
        self._writer = Writer(
            connect_writer, decode=decode, now=now, inline=inline, announce=self._news.tell
        )

    def append(
        self,
        events: Sequence[StoredEvent],
        *,
        metadata: bytes = b"",
        envelope: Metadata | None = None,
        unordered: Collection[UUID] = frozenset(),
        expected: Mapping[UUID, int] | None = None,
        instead: Callable[[LogTransaction], object] | None = None,
        timeout: float = 10.0,
    ) -> list[int]:
        """See `Writer.append`."""
        self._check_process()
        return self._writer.append(
            events,
            metadata=metadata,
            envelope=envelope,
            unordered=unordered,
            expected=expected,
            instead=instead,
            timeout=timeout,
        )

    def transact(self, run: Callable[[LogTransaction], T], *, timeout: float = 10.0) -> T:
        """See `Writer.transact`: a small write at the price of an append, in its commit."""
        self._check_process()
        return self._writer.transact(run, timeout=timeout)

    def observe_writes(self, observe: Callable[[int, float], object]) -> None:
        """Has `observe(writes, seconds)` called after each group that this process writes."""
        self._writer.observe = observe

    def waiting(self) -> int:
        """How many writes of this process wait for the one that is under way."""
        return self._writer.waiting()

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        return self._ask(lambda reader: reader.query(sql, params))

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterable[Row]:
        with self.reading() as reader:
            yield from reader.rows(sql, params)

    def head(self) -> int:
        return self._ask(lambda reader: reader.head())

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        return self._ask(lambda reader: reader.read(after, limit, upto))

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        return self._ask(lambda reader: reader.read_sealed(after, limit, upto))

    def events(self, positions: Collection[int]) -> list[Recorded]:
        """See `LogReader.events`."""
        return self._ask(lambda reader: reader.events(positions))

    def raw(self, after: int, limit: int, upto: int | None = None) -> list[StoredRow]:
        return self._ask(lambda reader: reader.raw(after, limit, upto))

    def raw_stream(
        self, stream_id: UUID, gt: int, lte: int, *, newest_first: bool, limit: int
    ) -> list[StoredRow]:
        return self._ask(
            lambda reader: reader.raw_stream(
                stream_id, gt, lte, newest_first=newest_first, limit=limit
            )
        )

    def event(self, position: int) -> Recorded | None:
        return self._ask(lambda reader: reader.event(position))

    def stream(
        self, stream_id: UUID, after_version: int = 0, upto_position: int | None = None
    ) -> list[Recorded]:
        return self._ask(lambda reader: reader.stream(stream_id, after_version, upto_position))

    def last(self, stream_id: UUID, count: int) -> list[Recorded]:
        return self._ask(lambda reader: reader.last(stream_id, count))

    @contextmanager
    def reading(self) -> Iterator[LogReader]:
        """See `ProjectionStore.reading`."""
        self._check_process()
        with self._begun(self._readers, lambda reader: reader.begin_snapshot()) as reader:
            try:
                yield reader
            finally:
                reader.end_snapshot()

    @contextmanager
    def writing(self, *, exclusive: bool = False) -> Iterator[LogTransaction]:
        """See `ProjectionStore.writing`. On SQLite every write excludes all others.

        An append from inside the block waits for its end: it can only time out.
        """
        self._check_process()
        begin = self._begun(self._sessions, lambda session: session.begin(exclusive=exclusive))
        with begin as session:
            try:
                yield session.transaction
            except BaseException:
                session.rollback()
                raise
            session.commit()

    @abstractmethod
    def wait(self, position: int, timeout: float) -> int:
        """See `ProjectionStore.wait`."""

    @abstractmethod
    def lease(self, name: str) -> Lease:
        """The lease of that name, not yet taken."""

    def close(self) -> None:
        """Writes what is waiting, then closes every connection. Twice is harmless."""
        if os.getpid() != self._pid:
            return  # a child must not touch the connections of its parent
        self._writer.close()
        self._readers.close()
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, question: Callable[[LogReader], T]) -> T:
        """Asks once more, on a new connection, when the one at hand turns out to be dead."""
        self._check_process()
        try:
            return self._asked(question)
        except StoreUnavailable:
            self._readers.drop_idle()
            return self._asked(question)

    def _asked(self, question: Callable[[LogReader], T]) -> T:
        # As `lend` does it, without the price of its generators: this is every request's question.
        reader = self._readers.take()
        try:
            answer = question(reader)
        except StoreUnavailable:
            self._readers.drop(reader)
            raise
        except BaseException:
            self._readers.give(reader)
            raise
        self._readers.give(reader)
        return answer

    @contextmanager
    def _begun(self, pool: Pool[C], begin: Callable[[C], None]) -> Iterator[C]:
        """Lends a connection on which `begin` worked, a new one if the first turned out dead."""
        for is_last in (False, True):
            connection = pool.take()
            try:
                begin(connection)
                break
            except BaseException as error:
                is_dead = isinstance(error, StoreUnavailable) and not connection.usable()
                pool.drop(connection)
                if is_last or not is_dead:
                    raise
                pool.drop_idle()
        with pool.keeping(connection):
            yield connection

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ProgrammingError(
                f"this store was opened by process {self._pid} and is used by {os.getpid()}: "
                "open it after the fork"
            )


if TYPE_CHECKING:
    from gatebook.projections.ports import ProjectionStore, Reader

    def _conforms(log: Log) -> tuple[ProjectionStore, Reader]:
        return log, log
