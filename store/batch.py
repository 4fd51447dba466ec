"""What a group of waiting writes becomes: rows for the log, and refusals. Pure, but for futures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
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
    """The events of one save."""

    events: Sequence[StoredEvent] = ()
    metadata: bytes = b""
    envelope: Metadata | None = None
    unordered: Collection[UUID] = frozenset()


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
    """Every stream that a group writes to."""
    return {
        stored.originator_id  # type: ignore[misc]  # append() lets only UUIDs in
        for write in writes
        if isinstance(write, Append)
        for stored in write.events
    }


def settle(
    saves: Iterable[Append], head: int, versions: dict[UUID, int], recorded_at: int
) -> Settled:
    """Decides who wins. `versions` holds the streams' current ones, and is brought up to date.

    An earlier save of the group counts as if it had been committed before.
    """
    settled = Settled()
    position = head
    for save in saves:
        moved: dict[UUID, int] = {}
        rows: list[LogRow] = []
        for stored in save.events:
            stream_id: UUID = stored.originator_id  # type: ignore[assignment]  # see streams_of
            current = moved.get(stream_id, versions.get(stream_id))
            version = stored.originator_version
            if stream_id in save.unordered:
                version = 1 if current is None else current + 1
            elif not (version in (0, 1) if current is None else version == current + 1):
                settled.refused.append((save, _stale(stream_id, version, current)))
                break
            moved[stream_id] = version
            at = position + len(rows) + 1
            row = (at, recorded_at, stream_id, version, stored.topic, save.metadata, stored.state)
            rows.append(row)
        else:
            settled.rows += rows
            settled.accepted.append((save, [row[0] for row in rows]))
            versions.update(moved)
            position += len(rows)
    return settled


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
