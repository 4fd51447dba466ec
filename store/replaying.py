"""Replaying the log: every event in its order, once, into a state held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import msgspec

from gatebook.domain.catalogue import BY_TOPIC
from gatebook.projections.access import ACCESS
from gatebook.projections.differences import Difference, differences
from gatebook.projections.digest import rows_in_key_order
from gatebook.projections.replay import Replay
from gatebook.projections.replay_rows import rows
from gatebook.projections.replayed import Line
from gatebook.store.faults import StoreRefused
from gatebook.store.log_reader import COLUMNS, LogReader, StoredRow
from gatebook.store.mapper import EventMapper

EVENTS: Final = f"SELECT {COLUMNS} FROM log WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608  # constant
TOLD_EVERY: Final = 10_000

Tell = Callable[[int, int], None]
"""Told (done, total) in events."""


class Replayed(msgspec.Struct, frozen=True):
    """A state, the last event it includes, and when that was recorded (microseconds)."""

    replay: Replay
    position: int
    recorded_at: int


def replay(reader: LogReader, mapper: EventMapper, upto: int, tell: Tell) -> Replayed:
    """Folds the events up to a position, within a snapshot.

    Raises UnreadableEvent, and StoreRefused at a gap: half a log is no state.
    """
    state, position, recorded_at = Replay(), 0, 0
    takes = {topic: state.takes.get(kind) for topic, kind in BY_TOPIC.items()}
    for row in reader.rows(EVENTS, (0, upto)):
        place, recorded_at, stream_id, version, topic, metadata, payload = cast("StoredRow", row)
        position += 1
        if place != position:
            raise StoreRefused(f"event {position} is missing: gatebook audit verify")
        if topic not in takes or (take := takes[topic]) is not None:
            event = mapper.closed(topic, payload, place)  # which refuses a topic that is not known
            at = mapper.decided_at(metadata, place, topic)
            assert take is not None  # it is known
            take(Line(place, stream_id, version, at), event)
        if position % TOLD_EVERY == 0:
            tell(position, upto)
    tell(position, upto)
    return Replayed(state, position, recorded_at)


class Checked(msgspec.Struct, frozen=True):
    """What the live rows came to: rows by table, and the first that is not as it was replayed."""

    rows: dict[str, int]
    first: Difference | None


def check(reader: LogReader, state: Replay) -> Checked:
    """Holds the live rows of `access` against a state that was replayed in the same snapshot."""
    counted: dict[str, int] = {}
    for table in ACCESS.tables:
        live = rows_in_key_order(reader, table)
        for difference in differences(table, iter(live), iter(rows(state, table))):
            return Checked(counted, difference)
        counted[table.name] = live.count
    return Checked(counted, None)
