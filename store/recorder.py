"""The log behind the library's interfaces: its recorder, its subscription, its factory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    EventStore,
    InfrastructureFactory,
    Mapper,
    Notification,
    NotSupportedError,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from gatebook.domain.envelope import Metadata
from gatebook.store.log import Log
from gatebook.store.log_reader import LARGEST, LogTransaction

ROWS_AT_A_TIME = 500
STOP_SECONDS = 0.25


class LogRecorder(ApplicationRecorder):
    """The library's recorder over an open log, which whoever opened it closes."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        metadata: bytes = b"",
        envelope: Metadata | None = None,
        unordered: Collection[UUID] = frozenset(),
        expected: Mapping[UUID, int] | None = None,
        instead: Callable[[LogTransaction], object] | None = None,
        **kwargs: object,
    ) -> Sequence[int]:
        """See `Writer.append`. Returns the positions."""
        if kwargs.pop("tracking", None) is not None or kwargs:
            raise ProgrammingError(f"the log does not know {sorted(kwargs)}")
        return self.log.append(
            stored_events,
            metadata=metadata,
            envelope=envelope,
            unordered=unordered,
            expected=expected,
            instead=instead,
        )

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Returns notifications: a mapper that cannot read one can name its position."""
        if not isinstance(originator_id, UUID):
            raise ProgrammingError("a stream is named by a UUID")
        rows = self.log.raw_stream(
            originator_id,
            -1 if gt is None else gt,
            LARGEST if lte is None else lte,
            newest_first=desc,
            limit=LARGEST if limit is None else limit,
        )
        return [_notification(row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - inclusive_of_start
        if not topics:
            return [_notification(row) for row in self.log.raw(after, limit, stop)]
        marks = ", ".join("?" * len(topics))
        rows = self.log.query(
            "SELECT position, recorded_at, stream_id, version, topic, metadata, payload FROM log "  # noqa: S608  # only marks are put in
            f"WHERE position > ? AND position <= ? AND topic IN ({marks}) "
            "ORDER BY position LIMIT ?",
            (after, LARGEST if stop is None else stop, *topics, limit),
        )
        return [_notification(row) for row in rows]

    def max_notification_id(self) -> int | None:
        return self.log.head() or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        return LogSubscription(self, gt, topics)


class LogSubscription(Subscription[ApplicationRecorder]):
    """Every event after a position, from whichever process, for ever or until stopped.

    A stop from another thread ends the iteration within `STOP_SECONDS`.
    """

    def __init__(
        self, recorder: LogRecorder, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._log = recorder.log
        self._seen = gt or 0
        self._fetched: deque[Notification] = deque()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            if self._fetched:
                return self._fetched.popleft()
            self._fetch()
        raise StopIteration

    def _fetch(self) -> None:
        head = self._log.wait(self._seen, STOP_SECONDS)
        if head <= self._seen:
            return
        found = self._recorder.select_notifications(
            self._seen, ROWS_AT_A_TIME, head, self._topics, inclusive_of_start=False
        )
        self._fetched.extend(found)
        # A full page may have left some behind; a short one has seen all there is up to the head.
        self._seen = found[-1].id if len(found) == ROWS_AT_A_TIME else head


class LogFactory(InfrastructureFactory[TrackingRecorder]):
    """Gives an `Application` this log and this mapper:

    `def construct_factory(self, env): return LogFactory(log, mapper, env)`.
    """

    def __init__(
        self, log: Log, mapper: Mapper[UUID], env: Environment | EnvType | None = None
    ) -> None:
        super().__init__(env)
        self._recorder = LogRecorder(log)
        self._mapper = mapper

    def mapper(self, transcoder: Any = None, mapper_class: Any = None) -> Any:  # noqa: ARG002  # the library's signature; ours is made already
        return self._mapper

    def application_recorder(self) -> ApplicationRecorder:
        return self._recorder

    def event_store(self, mapper: Any = None, recorder: Any = None) -> EventStore[Any]:
        return EventStore(mapper=mapper or self._mapper, recorder=recorder or self._recorder)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        _refuse(f"an aggregate recorder for {purpose}")

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> Any:  # noqa: ARG002  # the library's signature
        _refuse("a tracking recorder")

    def process_recorder(self) -> ProcessRecorder:
        _refuse("a process recorder")


def _notification(row: Sequence[Any]) -> Notification:
    return Notification(UUID(bytes=row[2]), row[3], row[4], row[6], row[0])


def _refuse(what: str) -> NoReturn:
    raise NotSupportedError(
        f"Gatebook has no {what}: positions are kept by its own projections, in their read models"
    )
