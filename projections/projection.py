"""What a projection is: a fold of the log into the rows of some tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change
from gatebook.projections.tables import Table

Fold = Callable[[Recorded], Iterable[Change]]


class Projection(msgspec.Struct, frozen=True):
    """A read model and how it follows from the log.

    `fold` is pure: it reads nothing but the event, and gives the same changes every time.
    `version` is raised when the tables or the fold change; the read model is then built anew.
    An `inline` one is written in the transaction of every append, for what decides access;
    the others follow behind. `by_event`: its one table has a row an event, by its position, and no
    other event touches that row.
    """

    name: str
    version: int
    tables: tuple[Table, ...]
    fold: Fold
    inline: bool = False
    by_event: bool = False
