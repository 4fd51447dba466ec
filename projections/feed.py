"""Reading the log for a projection: the next events, folded, as far as that goes."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Protocol

import msgspec

from gatebook.domain.envelope import Recorded
from gatebook.domain.event import UnreadableEvent
from gatebook.projections.batch import Batch, Rows, Step
from gatebook.projections.errors import EventUnreadable, FoldFailed
from gatebook.projections.projection import Projection

CHUNK = 200
"""Events read at a time. A thousand alive at once take half again as long to read and decode."""


class Readable(Protocol):
    """Where events come from: see `Reader.read_sealed`."""

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]: ...


class SharedReading:
    """Reads what several projections take in at the same place only once."""

    def __init__(self, log: Readable) -> None:
        self._log = log
        self._read: dict[tuple[int, int, int | None], list[Recorded] | UnreadableEvent] = {}

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """See `Reader.read_sealed`."""
        asked = (after, limit, upto)
        if asked not in self._read:
            try:
                self._read[asked] = self._log.read_sealed(after, limit, upto)
            except UnreadableEvent as error:
                self._read[asked] = error
        found = self._read[asked]
        if isinstance(found, UnreadableEvent):
            raise found
        return found


class Taken(msgspec.Struct, frozen=True):
    """What some events come to. `upto` is the last position that `steps` account for.

    `failure` is the event behind it, when that one cannot be taken in.
    """

    steps: list[Step]
    upto: int
    failure: FoldFailed | None = None


def take(
    log: Readable,
    projection: Projection,
    after: int,
    limit: int,
    *,
    upto: int | None = None,
    skipped: Set[int] = frozenset(),
) -> Taken:
    """Folds the next events behind `after`, at most `limit`, none past `upto`."""
    batch = Rows(projection.tables[0]) if projection.by_event else Batch()
    reached = after
    failure: FoldFailed | None = None
    while failure is None and reached - after < limit:
        try:
            events = log.read_sealed(reached, min(CHUNK, limit - (reached - after)), upto)
        except UnreadableEvent as error:
            if error.position not in skipped:
                reason = f"({error.topic}) {error.reason}"
                failure = EventUnreadable(projection.name, error.position, reason)
            reached = error.position - (failure is not None)
            continue
        if not events:
            break
        reached, failure = fold_into(batch, projection, events, reached, skipped)
    return Taken(batch.steps(), reached, failure)


def fold_into(
    batch: Batch | Rows,
    projection: Projection,
    events: Iterable[Recorded],
    after: int,
    skipped: Set[int],
) -> tuple[int, FoldFailed | None]:
    """Folds events that follow `after`. Stops before the first that the fold cannot take.

    Returns the last position that the batch accounts for, and what stopped it.
    """
    fold, add = projection.fold, batch.add
    reached = after
    for recorded in events:
        if recorded.position not in skipped:
            try:
                for change in tuple(fold(recorded)):
                    add(change)
            except Exception as error:
                reason = f"({recorded.topic}) {type(error).__name__}: {error}"
                return reached, FoldFailed(projection.name, recorded.position, reason)
        reached = recorded.position
    return reached, None
