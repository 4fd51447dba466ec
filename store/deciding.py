"""The log as it stood before one of its events: what its decision is made again from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast
from uuid import UUID

from gatebook.domain import policy
from gatebook.domain.decisions import Redecided
from gatebook.domain.envelope import Recorded
from gatebook.domain.folds import FOLDS, Standing, folded
from gatebook.domain.judges import decide_again
from gatebook.domain.policy import Policy
from gatebook.store.log import Log
from gatebook.store.log_reader import COLUMNS, LARGEST, LogReader, StoredRow

_BEFORE: Final = (
    f"SELECT {COLUMNS} FROM log WHERE stream_id = ? AND position < ? ORDER BY version DESC LIMIT ?"  # noqa: S608  # constant
)
NEAR: Final = 500
"""Events before and behind one among which the others of its append are looked for."""


class LogBefore:
    """See `gatebook.domain.decisions.Before`. Within one snapshot."""

    def __init__(self, reader: LogReader, recorded: Recorded) -> None:
        self._reader = reader
        self._position = recorded.position
        self._known: dict[tuple[str, UUID], Standing] = {}
        self._together: list[Recorded] | None = None

    def of(self, stream: str, stream_id: UUID) -> Standing:
        """A stream of a kind, folded as far as the event, without it."""
        asked = (stream, stream_id)
        if asked not in self._known:
            tail = FOLDS[stream].tail if stream in FOLDS else 1
            events = _events_before(self._reader, stream_id, self._position, tail)
            self._known[asked] = folded(stream, events)
        return self._known[asked]

    def policy(self, version: int) -> Policy | None:
        """The policy of a version."""
        for recorded in self._reader.stream(policy.STREAM_ID):
            event = recorded.event
            if recorded.version == version and isinstance(event, policy.PolicyAdopted):
                return event.policy
        return None

    def together(self) -> Sequence[Recorded]:
        """The events of the same append: they stand side by side and share their envelope."""
        if self._together is None:
            first = max(0, self._position - NEAR - 1)
            rows = self._reader.raw(first, 2 * NEAR + 1)
            here = self._position - first - 1
            start = end = here
            while start > 0 and rows[start - 1][5] == rows[here][5]:
                start -= 1
            while end + 1 < len(rows) and rows[end + 1][5] == rows[here][5]:
                end += 1
            self._together = _whole(self._reader, rows[start : end + 1])
        return self._together


def redecided(log: Log, recorded: Recorded) -> Redecided:
    """Makes the decision of an event of the log again."""
    with log.reading() as reader:
        return decide_again(recorded, LogBefore(reader, recorded))


def state_before(log: Log, recorded: Recorded) -> object:
    """The state of an event's stream without it; None for streams that have no state."""
    with log.reading() as reader:
        return LogBefore(reader, recorded).of(recorded.event.STREAM, recorded.stream_id).state


def _events_before(
    reader: LogReader, stream_id: UUID, position: int, tail: int | None
) -> Iterable[Recorded]:
    limit = LARGEST if tail is None else tail
    found = reader.query(_BEFORE, (reader.stream_key(stream_id), position, limit))
    return _whole(reader, cast("list[StoredRow]", found)[::-1])


def _whole(reader: LogReader, rows: Sequence[StoredRow]) -> list[Recorded]:
    """Raises `UnreadableEvent`: half of it decides nothing."""
    read = reader.decoded(rows)
    if len(read) < len(rows):
        reader.decoded(rows[len(read) :])
    return read
