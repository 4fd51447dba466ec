"""The writer of a process: waiting saves become one transaction, one fsync, many answers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)

from gatebook.domain.envelope import Metadata
from gatebook.projections.ports import InlineFold
from gatebook.store.batch import (
    Append,
    Errand,
    LogRow,
    Settled,
    Write,
    recorded,
    settle,
    streams_of,
)
from gatebook.store.faults import CommitLost, OutcomeUnknown, StoreUnavailable
from gatebook.store.log_reader import Decode, LogTransaction
from gatebook.store.session import Session

LARGEST_GROUP = 256
RECONNECT_FOR = 5.0
T = TypeVar("T")


class Writer:
    """Appends from any thread, written by one thread of its own, started at the first append."""

    def __init__(
        self,
        connect: Callable[[], Session],
        *,
        decode: Decode,
        now: Callable[[], int],
        inline: InlineFold | None,
        announce: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._decode = decode
        self._now = now
        self._inline = inline
        self._announce = announce
        self._waiting: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._session: Session | None = None
        self._closed = False
        self.observe: Callable[[int, float], object] = lambda _writes, _seconds: None
        """Told, after each group, how many writes it held and how many seconds it took."""

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
        """All of `events` or none of them. Returns their positions once they are durable.

        Streams in `unordered` take whatever version is next, whatever the event says. Streams in
        `expected` must stand at these versions, though nothing is appended to them.
        With `instead` nothing is appended: all the work of it is done, undone, and `instead(tx)`
        is run, so that whoever waits cannot tell the one from the other.
        Raises `IntegrityError` when another save was first, `OperationalError` when the store
        failed or did not answer within `timeout` seconds (then nothing was or will be written),
        and its subclass `OutcomeUnknown` when it failed in the middle.
        """
        if not events:
            return []
        if not all(isinstance(stored.originator_id, UUID) for stored in events):
            raise ProgrammingError("a stream is named by a UUID")
        save = Append(
            events=events,
            metadata=metadata,
            envelope=envelope,
            unordered=unordered,
            expected=expected or {},
            instead=instead,
        )
        self._enqueue(save)
        return cast("list[int]", _await(save, timeout))

    def transact(self, run: Callable[[LogTransaction], T], *, timeout: float = 10.0) -> T:
        """Runs `run(tx)` in the same group as the appends, after them; it must not append.

        It may be run more than once: each time but the last was rolled back. Raises what it
        raises, and what `append` raises of the store.
        """
        errand = Errand(run=run)
        self._enqueue(errand)
        return cast("T", _await(errand, timeout))

    def waiting(self) -> int:
        """How many writes wait for the one that is under way."""
        return self._waiting.qsize()

    def close(self, timeout: float = 10.0) -> None:
        """Writes what is waiting, then stops."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _enqueue(self, write: Write) -> None:
        with self._gate:
            if self._closed:
                raise InterfaceError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
            self._waiting.put(write)

    def _run(self) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                group, is_last = self._drain(first)
                started = time.perf_counter()
                self._serve(group)
                self.observe(len(group), time.perf_counter() - started)
                if is_last:
                    return
        finally:
            self._drop_session()

    def _drain(self, first: Write) -> tuple[list[Write], bool]:
        group = [first]
        try:
            while len(group) < LARGEST_GROUP:
                write = self._waiting.get_nowait()
                if write is None:
                    return group, True
                group.append(write)
        except queue.Empty:
            pass
        return group, False

    def _serve(self, group: list[Write], *, again: bool = True) -> None:
        """Answers every write of the group, whatever happens; it raises nothing."""
        try:
            settled, results = self._write(group)
        except CommitLost as error:
            self._drop_session()
            if again:
                self._serve(group, again=False)
            else:
                _fail(group, error)
        except (StoreUnavailable, OutcomeUnknown) as error:
            self._drop_session()
            _fail(group, error)
        except BaseException as error:  # a fold or an errand may raise anything
            if self._session is not None:
                self._session.rollback()
            if len(group) == 1:
                group[0].fail(error)
            else:
                for write in group:
                    self._serve([write])
        else:
            self._answer(settled, results)

    def _write(self, group: list[Write]) -> tuple[Settled, list[tuple[Errand, Any]]]:
        session, head, versions = self._begin(streams_of(group))
        group[:] = [write for write in group if write.claim()]
        appends = [write for write in group if isinstance(write, Append)]
        saves = [save for save in appends if save.instead is None]
        errands = [write for write in group if isinstance(write, Errand)]
        settled = settle(saves, head, versions, self._now())
        self._place(session, head, settled)
        rehearsed = [save for save in appends if save.instead is not None]
        for save in rehearsed:
            self._rehearse(session, save, head + len(settled.rows), versions, settled)
        results = [(errand, errand.run(session.transaction)) for errand in errands]
        if settled.rows or results or rehearsed:
            # A crash before this commit leaves nothing of the group, after it all of it.
            self._commit(session, settled)
        else:
            session.rollback()
        return settled, results

    def _place(self, session: Session, head: int, settled: Settled) -> None:
        if settled.rows:
            session.insert(settled.rows)
            if self._inline is not None:
                added = recorded(settled, self._decode)
                self._inline.apply(session.transaction, head, added)

    def _rehearse(
        self, session: Session, save: Append, head: int, versions: dict[UUID, int], into: Settled
    ) -> None:
        """Does all that the save would, then undoes it and runs what stands in its place."""
        assert save.instead is not None  # or it would not be one
        tx = session.transaction
        tx.execute("SAVEPOINT rehearsal")
        tried = settle([save], head, dict(versions), self._now())
        self._place(session, head, tried)
        tx.execute("ROLLBACK TO SAVEPOINT rehearsal")
        tx.execute("RELEASE SAVEPOINT rehearsal")
        if tried.accepted:
            save.instead(tx)
        into.accepted += tried.accepted
        into.refused += tried.refused

    def _begin(self, streams: Collection[UUID]) -> tuple[Session, int, dict[UUID, int]]:
        """On a new connection if the old one died while it was idle."""
        session = self._open_session()
        try:
            return session, *session.begin_append(streams)
        except StoreUnavailable:
            if session.usable():
                raise
        session = self._open_session()
        return session, *session.begin_append(streams)

    def _commit(self, session: Session, settled: Settled) -> None:
        """Raises `CommitLost` when it is certain that nothing was committed."""
        try:
            session.commit(settled.rows[-1][0] if settled.rows else None)
        except CommitLost as error:
            if not settled.rows:
                raise OutcomeUnknown(str(error)) from error
            if not self._is_committed(settled.rows[0], error):
                raise

    def _answer(self, settled: Settled, results: Sequence[tuple[Errand, Any]]) -> None:
        if settled.rows:
            self._announce()
        for save, positions in settled.accepted:
            save.outcome.set_result(positions)
        for save, refusal in settled.refused:
            save.outcome.set_exception(refusal)
        for errand, result in results:
            errand.outcome.set_result(result)

    def _is_committed(self, ours: LogRow, lost: CommitLost) -> bool:
        """After a lost COMMIT: is the first of our rows in the log?

        The append lock is taken first, so the lost transaction has ended one way or the other.
        """
        position, _, stream_id, *rest = ours
        deadline = time.monotonic() + RECONNECT_FOR
        while True:
            self._drop_session()
            try:
                session = self._open_session()
                session.begin_append(())
                found = session.transaction.raw(position - 1, 1, position)
                session.rollback()
            except StoreUnavailable as error:
                if time.monotonic() >= deadline:
                    raise OutcomeUnknown(f"{lost}; and then: {error}") from error
                time.sleep(0.1)
            else:
                return [(row[2], *row[3:]) for row in found] == [(stream_id.bytes, *rest)]

    def _open_session(self) -> Session:
        if self._session is not None and not self._session.usable():
            self._drop_session()
        if self._session is None:
            self._session = self._connect()
        return self._session

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _await(write: Write, timeout: float) -> object:
    try:
        return write.outcome.result(timeout)
    except TimeoutError:
        if write.outcome.done():
            return write.outcome.result()
    if write.outcome.cancel():
        raise OperationalError(f"the store was busy for {timeout:g} s: nothing was written")
    try:
        return write.outcome.result(timeout)
    except TimeoutError:
        if write.outcome.done():
            return write.outcome.result()
        raise OutcomeUnknown(
            f"the store did not answer for {2 * timeout:g} s: the write may still happen"
        ) from None


def _fail(group: list[Write], error: OperationalError) -> None:
    """Each waiting thread raises its own: a traceback must not grow in several threads at once."""
    for write in group:
        copy = type(error)(*error.args)
        copy.__cause__ = error.__cause__
        write.fail(copy)
