"""What all lists share: cursors, pages, and waiting for a read model that follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from gatebook.api.call import Call
from gatebook.api.schemas import Page, Paging
from gatebook.domain.errors import InvalidValue
from gatebook.projections import engine
from gatebook.projections.registry import projection_named

PATIENCE: Final = 0.5
"""Seconds that a list waits for its read model."""

POLL: Final = 0.01

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
POSITION: Final = "Gatebook-Position"


def caught_up(call: Call[Any, Any], name: str) -> dict[str, str]:
    """Waits until a following read model has what was there when the request came in.

    It waits for half a second at most. Returns the header that says how far the answer goes.
    """
    projection = projection_named(name)
    deadline = time.monotonic() + PATIENCE
    head = call.house.store.head()
    while True:
        (standing,) = engine.status(call.house.store, (projection,))
        late = standing.position < head and standing.status == "live"
        if not late or time.monotonic() >= deadline:
            return {POSITION: str(standing.position)}
        time.sleep(POLL)


def opened(call: Call[Any, Any], kind: str, *types: type) -> tuple[Any, ...] | None:
    """The values in the request's cursor; None when it has none. Raises InvalidValue."""
    query = cast("Paging", call.query)
    if query.after is None:
        return None
    values = call.house.cursors.open(kind, query.after)
    if len(values) != len(types) or not all(map(isinstance, values, types)):
        raise InvalidValue("This cursor was not given out for this list.", "/after")
    return values


def page(
    call: Call[Any, Any],
    kind: str,
    found: Sequence[T],
    key: Callable[[T], tuple[int | str | bytes, ...]],
    shown: Callable[[T], R],
) -> Page[R]:
    """A page out of what was found, of which there may be one more than was asked for."""
    limit = cast("Paging", call.query).limit
    items = list(found[:limit])
    more = call.house.cursors.seal(kind, *key(items[-1])) if len(found) > limit else None
    return Page([shown(item) for item in items], more)


def short_page(
    call: Call[Any, Any],
    kind: str,
    found: Sequence[T],
    key: Callable[[T], str],
    shown: Callable[[T], R],
) -> Page[R]:
    """A page out of a whole list, in the order of its unique keys."""
    after = opened(call, kind, str)
    rest = [item for item in sorted(found, key=key) if after is None or key(item) > after[0]]
    return page(call, kind, rest, lambda item: (key(item),), shown)
