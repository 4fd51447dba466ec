"""The slow look over one's own shoulder: read models held against the log, a slice at a time.

Beside the live rows stands a shadow, folded from the log by this process alone. Each look brings it
level in one snapshot and compares the next slice of a table with it, so after a round every row
has been compared. A read model with a row an event needs no shadow: a slice is folded as it comes.
"""

from __future__ import annotations

import msgspec

from gatebook.projections import bookkeeping
from gatebook.projections.batch import execute
from gatebook.projections.differences import Difference, differences
from gatebook.projections.feed import take
from gatebook.projections.ports import ProjectionStore, Reader, Row, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.tables import LIVE, Key, Table, create_table

FOLDED = 1_000
"""Events that one look folds at most, while the shadow is far behind."""

SLICE = 1_000
"""Rows that one look compares."""


class Look(msgspec.Struct, frozen=True):
    """What one look came to: rows compared, and what differed among them.

    `round_over`: with it every row was compared once more.
    """

    position: int
    rows: int
    found: list[Difference]
    round_over: bool


class SelfCheck:
    """Checks one projection. Not for two threads at once."""

    def __init__(self, projection: Projection, shadow: Transaction) -> None:
        """`shadow` is an empty database that is thrown away afterwards."""
        self.projection = projection
        self._shadow = shadow
        self._folded = 0
        self._table = 0
        self._behind: Key | None = None
        self._said, self._skipped = frozenset[int](), frozenset[int]()
        for table in projection.tables:
            shadow.execute(create_table(table, shadow.dialect, suffix=LIVE, generation=0))

    def look(self, store: ProjectionStore) -> Look | None:
        """The next look; None when there is nothing to hold the rows against at the moment.

        Raises FoldFailed, and what the store raises.
        """
        projection, name = self.projection, self.projection.name
        with store.reading() as reader:
            at = bookkeeping.standing(reader, name)
            if at is None or at.version != projection.version:
                return None
            compared = self._windowed if projection.by_event else self._shadowed
            look = compared(reader, at.position)
        with store.reading() as reader:
            after = bookkeeping.standing(reader, name)
        # A snapshot does not hold table names still on PostgreSQL.
        if after is None or after.generation != at.generation:
            return None
        return look

    def _shadowed(self, reader: Reader, position: int) -> Look | None:
        if position < self._folded:
            return None  # a rebuild has just switched, a little behind: it catches up
        self._fold(reader, self._folded, min(position, self._folded + FOLDED))
        if self._folded < position:
            return Look(self._folded, 0, [], round_over=False)
        return self._compare(reader, position, None)

    def _windowed(self, reader: Reader, position: int) -> Look:
        (table,) = self.projection.tables
        after = self._folded if self._folded < position else 0
        upto = min(position, after + SLICE)
        self._shadow.execute(f"DELETE FROM {table.name}")  # noqa: S608 - a declared name
        self._fold(reader, after, upto)
        self._behind = (after,)
        # The last slice takes in all that is behind it: rows of events that there are not.
        look = self._compare(reader, position, (upto,) if upto < position else None)
        self._folded = 0 if upto == position else upto
        return msgspec.structs.replace(look, round_over=upto == position)

    def _fold(self, reader: Reader, after: int, upto: int) -> None:
        if after == upto:
            return
        skipped = self._skips(reader)
        taken = take(reader, self.projection, after, upto - after, upto=upto, skipped=skipped)
        if taken.failure is not None:
            raise taken.failure
        execute(self._shadow, taken.steps)
        self._folded = taken.upto

    def _skips(self, reader: Reader) -> frozenset[int]:
        """What is passed over. Whoever writes to that table hides no event by it from here."""
        name = self.projection.name
        said = bookkeeping.noted_skips(reader, name)
        if said != self._said:
            self._said, self._skipped = said, bookkeeping.skipped(reader, name)
        return self._skipped

    def _compare(self, reader: Reader, position: int, upto: Key | None) -> Look:
        """Compares the slice behind the last one: as many live rows, and the shadow's beside."""
        tables = self.projection.tables
        table = tables[self._table]
        live = _rows(reader, table, self._behind, upto, SLICE + 1)
        whole = len(live) <= SLICE
        if not whole:
            upto = _key(table, live[SLICE - 1])
            live = live[:SLICE]
        folded = _rows(self._shadow, table, self._behind, upto)
        found = list(differences(table, iter(live), iter(folded)))
        self._behind = None if whole else upto
        self._table = (self._table + whole) % len(tables)
        return Look(position, len(live), found, round_over=whole and self._table == 0)


def _key(table: Table, row: Row) -> Key:
    return table.key_of(dict(zip(table.names, row, strict=True)))


def _rows(
    reader: Reader, table: Table, behind: Key | None, upto: Key | None, limit: int | None = None
) -> list[Row]:
    """Rows in the order of the key, behind one and up to another."""
    key, marks = ", ".join(table.key), ", ".join("?" * len(table.key))
    conditions, params = [], list[bytes | int | str | None]()
    for op, bound in ((">", behind), ("<=", upto)):
        if bound is not None:
            conditions.append(f"({key}) {op} ({marks})")
            params += bound
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    sql = f"SELECT {', '.join(table.names)} FROM {table.name} {where}ORDER BY {key}"  # noqa: S608 - declared names
    if limit is not None:
        sql += " LIMIT ?"
        params.append(limit)
    return reader.query(sql, params)
