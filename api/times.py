"""From a moment to a place in the log."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gatebook.api.decoding import microseconds
from gatebook.domain.errors import InvalidValue
from gatebook.store.log import Log
from gatebook.store.past import Place


class Wanted(Protocol):
    """A query that may name a moment."""

    @property
    def at(self) -> datetime | None: ...

    @property
    def position(self) -> int | None: ...


def place(log: Log, wanted: Wanted, now: int) -> Place | None:
    """The place that a query names; None for the present. Raises InvalidValue."""
    if wanted.at is not None and wanted.position is not None:
        raise InvalidValue("Give at or position, not both.", "/position")
    if wanted.position is not None:
        recorded = log.event(wanted.position)
        if recorded is None:
            raise InvalidValue("The log has no such position.", "/position")
        return Place(recorded.recorded_at, wanted.position)
    if wanted.at is not None:
        at = microseconds(wanted.at)
        if at > now:
            raise InvalidValue("This time is still to come.", "/at")
        return Place(at, position_at(log, at))
    return None


def place_or_now(log: Log, wanted: Wanted, now: int) -> Place:
    """The place that a query names, or where the log ends now."""
    return place(log, wanted, now) or Place(now, log.head())


def position_at(log: Log, at: int) -> int:
    """The last position recorded at or before an instant; 0 when there is none.

    A binary search over the log: positions are in the order of their times.
    """
    low, high = 0, log.head()
    while low < high:
        middle = (low + high + 1) // 2
        recorded = log.event(middle)
        if recorded is not None and recorded.recorded_at <= at:
            low = middle
        else:
            high = middle - 1
    return low
