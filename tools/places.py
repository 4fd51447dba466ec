"""From a moment that somebody wrote to a place in the log of this store."""

from __future__ import annotations

from datetime import datetime

from gatebook.api.decoding import microseconds
from gatebook.store.house import House
from gatebook.store.past import Place
from gatebook.store.past_places import position_at
from gatebook.tools.desk import USAGE, Failed

Moment = tuple[str, str | int]
"""As `gatebook.tools.moments` reads it."""


def place_of(house: House, moment: Moment | None) -> Place | None:
    """Where a moment is in the log; None for none. Raises Failed for one that is not there."""
    if moment is None:
        return None
    kind, value = moment
    if kind == "position":
        recorded = house.store.event(int(value))
        if recorded is None:
            raise Failed(f"the log has {house.store.head()} events, and no event {value}")
        return Place(recorded.recorded_at, int(value))
    try:
        at = microseconds(datetime.fromisoformat(str(value)))
    except (ValueError, OverflowError) as error:
        raise Failed(f"{value} is no time: {error}", USAGE) from error
    if at > house.clock.now():
        raise Failed("this time is still to come", USAGE)
    return Place(at, position_at(house.store, at))
