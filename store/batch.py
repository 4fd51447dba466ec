"""What a group of waiting writes becomes: rows for the log, and refusals. Pure, but for futures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent

from gatebook.domain.envelope import Metadata, Recorded
from gatebook.domain.event import Event
from gatebook.store.log_reader import Decode, LogTransaction

LogRow = tuple[int, int, UUID, int, str, bytes, bytes]
"""(position, recorded_at, stream id, version, topic, metadata, payload), to be stored."""


LEFT_OUT = "events were left out of the log: something that is not Gatebook changes what is written"
"""A trigger that is not ours can drop a row without an error."""


@dataclass(frozen=True)
class EncodedEvent(StoredEvent):
    """A stored event with the event it was made from, so that inline folds need not decode it."""

    event: Event


@dataclass(eq=False)
class Write:
    """Something that waits to be written. Its caller holds the future."""

    outcome: Future[Any] = field(default_factory=Future)
    claimed: bool = False

    def claim(self) -> bool:
        """False when the caller gave up: then nothing of it may be written, ever."""
        self.claimed = self.claimed or self.outcome.set_running_or_notify_cancel()
        return self.claimed

    def fail(self, error: BaseException) -> None:
        if self.claimed or self.claim():
            self.outcome.set_exception(error)


@dataclass(eq=False)
class Append(Write):
    """The events of one save.

    With `instead` it is a rehearsal: written as any other, undone, and that is run in its place.
    """

    events: Sequence[StoredEvent] = ()
    metadata: bytes = b""
    envelope: Metadata | None = None
    unordered: Collection[UUID] = frozenset()
    expected: Mapping[UUID, int] = field(default_factory=dict)
    instead: Callable[[LogTransaction], object] | None = None


@dataclass(eq=False)
class Errand(Write):
    """A function to run in the same transaction as the appends of its group, after them."""

    run: Callable[[LogTransaction], Any] = lambda _: None


@dataclass
class Settled:
    """What is to be written, and who gets which answer once it is."""

    rows: list[LogRow] = field(default_factory=list)
    accepted: list[tuple[Append, list[int]]] = field(default_factory=list)
    refused: list[tuple[Append, IntegrityError]] = field(default_factory=list)


def streams_of(writes: Iterable[Write]) -> set[UUID]:
    """Every stream that a group writes to, or that it must find unmoved."""
    found: set[UUID] = set()
    for write in writes:
        if isinstance(write, Append):
            found.update(write.expected)
            for stored in write.events:
                found.add(stored.originator_id)  # type: ignore[arg-type]  # append() lets only UUIDs in
    return found


def settle(
    saves: Iterable[Append], head: int, versions: dict[UUID, int], recorded_at: int
) -> Settled:
    """Decides who wins. `versions` holds the streams' current ones, and is brought up to date.

    An earlier save of the group counts as if it had been committed before.
    """
    settled = Settled()
    position = head
    for save in saves:
        placed = _placed(save, position, versions, recorded_at)
        if isinstance(placed, IntegrityError):
            settled.refused.append((save, placed))
            continue
        settled.rows += placed
        settled.accepted.append((save, [row[0] for row in placed]))
        versions.update((row[2], row[3]) for row in placed)
        position += len(placed)
    return settled


def _placed(
    save: Append, position: int, versions: Mapping[UUID, int], recorded_at: int
) -> list[LogRow] | IntegrityError:
    """The rows of a save that follows `position`, or why it lost."""
    for stream_id, wanted in save.expected.items():
        current = versions.get(stream_id, 0)
        if current != wanted:
            return IntegrityError(f"stream {stream_id} moved from version {wanted} to {current}")
    moved: dict[UUID, int] = {}
    rows: list[LogRow] = []
    for stored in save.events:
        stream_id: UUID = stored.originator_id  # type: ignore[no-redef]  # see streams_of
        stands = moved.get(stream_id, versions.get(stream_id))
        version = stored.originator_version
        if stream_id in save.unordered:
            version = 1 if stands is None else stands + 1
        elif not (version in (0, 1) if stands is None else version == stands + 1):
            return _stale(stream_id, version, stands)
        moved[stream_id] = version
        at = position + len(rows) + 1
        rows.append(
            (at, recorded_at, stream_id, version, stored.topic, save.metadata, stored.state)
        )
    return rows


def recorded(settled: Settled, decode: Decode) -> list[Recorded]:
    """The accepted events as folds read them. Raises `UnreadableEvent`."""
    result: list[Recorded] = []
    rows = iter(settled.rows)
    for save, _ in settled.accepted:
        envelope = save.envelope
        for stored in save.events:
            at, recorded_at, stream_id, version, topic, metadata, payload = next(rows)
            if isinstance(stored, EncodedEvent) and envelope is not None:
                event = stored.event
            else:
                event, envelope = decode(topic, stream_id, version, payload, metadata, at)
            result.append(Recorded(at, recorded_at, stream_id, version, topic, event, envelope))
    return result


def _stale(stream_id: UUID, version: int, current: int | None) -> IntegrityError:
    stands = "does not exist yet" if current is None else f"stands at version {current}"
    return IntegrityError(f"stream {stream_id} {stands}: version {version} cannot follow")
