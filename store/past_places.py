"""Which event was the newest when the clock showed a time.

Times need not ascend along the log: a clock may be set, or be wrong for a while. A time is where
two neighbours lie on both sides of it, and of several such places the narrowest: there the clock
ran through it, elsewhere it jumped. A time that it ran through twice is ambiguous; a position never
is.
"""

from __future__ import annotations

from typing import Final

from gatebook.projections.rows import number
from gatebook.store.log import Log
from gatebook.store.log_reader import LogReader
from gatebook.store.past import indexed_to

NEAR: Final = 200
"""Events of just before the time that are looked at; one is enough unless the clock was set."""

_NARROWEST: Final = """
SELECT position FROM (
    SELECT a.position, a.recorded_at, COALESCE(b.recorded_at, ?) AS next
    FROM (
        SELECT position, recorded_at FROM audit WHERE recorded_at <= ?
        ORDER BY recorded_at DESC, position DESC LIMIT ?
    ) AS a
    LEFT JOIN audit AS b
        ON b.position = (SELECT min(position) FROM audit WHERE position > a.position)
) AS pair
WHERE next > ? OR next < recorded_at
ORDER BY CASE WHEN next > ? THEN next ELSE ? END - recorded_at, position DESC LIMIT 1
"""
"""Behind a place where the clock was set back it had run on: as far as to the time, perhaps."""


def position_at(log: Log, at: int) -> int:
    """The last position recorded at or before an instant (microseconds); 0 when there is none."""
    with log.reading() as reader:
        head, indexed = reader.head(), indexed_to(reader)
        if _time_of(reader, head) <= at:
            return head
        behind = _time_of(reader, min(indexed + 1, head))
        if behind <= at:
            return _searched(reader, indexed + 1, head, at)
        found = reader.query(_NARROWEST, (behind, at, NEAR, at, at, at))
        return number(found[0][0]) if found else 0


def _searched(reader: LogReader, low: int, high: int, at: int) -> int:
    """Within what the index has not come to: one of them is by then, the other is not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _time_of(reader, middle) <= at else (low, middle)
    return low


def _time_of(reader: LogReader, position: int) -> int:
    """When an event was recorded; 0 for an empty log."""
    found = reader.raw(position - 1, 1) if position else []
    return number(found[0][1]) if found else 0
