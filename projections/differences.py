"""Rows of a live read model held against rows as the log folds: what differs, by key."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gatebook.projections.ports import Row
from gatebook.projections.tables import Key, Table


class Difference(msgspec.Struct, frozen=True):
    """A row that is not what the log says: as it is, and as the log folds (None: no such row)."""

    table: str
    key: Key
    live: dict[str, bytes | int | str | None] | None
    folded: dict[str, bytes | int | str | None] | None


def differences(table: Table, live: Iterator[Row], folded: Iterator[Row]) -> Iterator[Difference]:
    """Every difference of two lists of rows, both in the order of the table's key."""
    places = [table.names.index(name) for name in table.key]

    def key(row: Row) -> tuple[bytes | int | str, ...]:
        return tuple(value for place in places if (value := row[place]) is not None)

    ours, theirs = next(live, None), next(folded, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and key(ours) < key(theirs)):
            yield _difference(table, ours, None)
            ours = next(live, None)
        elif ours is None or key(theirs) < key(ours):
            yield _difference(table, None, theirs)
            theirs = next(folded, None)
        else:
            if ours != theirs:
                yield _difference(table, ours, theirs)
            ours, theirs = next(live, None), next(folded, None)


def _difference(table: Table, live: Row | None, folded: Row | None) -> Difference:
    sides = [
        dict(zip(table.names, row, strict=True)) if row is not None else None
        for row in (live, folded)
    ]
    row = sides[0] or sides[1] or {}
    return Difference(table.name, table.key_of(row), sides[0], sides[1])
