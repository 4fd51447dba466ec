"""From a moment to a place in the log."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gatebook.api.decoding import microseconds
from gatebook.domain.errors import InvalidValue
from gatebook.store.log import Log
from gatebook.store.past import Place
from gatebook.store.past_places import position_at


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
