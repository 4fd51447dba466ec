"""Checking a read model against the log: folds it afresh, elsewhere, and compares row by row."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gatebook.projections import bookkeeping
from gatebook.projections.batch import execute
from gatebook.projections.differences import Difference, differences
from gatebook.projections.digest import rows_in_key_order
from gatebook.projections.errors import SwitchedMeanwhile, UnknownProjection
from gatebook.projections.feed import take
from gatebook.projections.ports import ProjectionStore, Reader, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.tables import LIVE, Table, create_table

BATCH = 10_000
SHOWN = 10
"""Differences shown of a table; all are counted."""


class TableVerdict(msgspec.Struct, frozen=True):
    """One table: rows, SHA-256 of each side in hexadecimal, and the first differences."""

    table: str
    rows: int
    live: str
    folded: str
    different: int
    differences: list[Difference]


class Verdict(msgspec.Struct, frozen=True):
    """A read model at the position it stood at when it was checked."""

    name: str
    position: int
    tables: list[TableVerdict]

    @property
    def ok(self) -> bool:
        """Whether every row is what the log says."""
        return all(table.live == table.folded for table in self.tables)


def verify(
    store: ProjectionStore,
    projection: Projection,
    scratch: Transaction,
    progress: Callable[[int, int], object],
) -> Verdict:
    """Compares a live read model with a fresh fold of the log, in one snapshot.

    `scratch` is an empty database that is thrown away afterwards. Stops nothing and writes nothing
    to the store. Raises FoldFailed, SwitchedMeanwhile, and UnknownProjection before `ensure`.
    """
    with store.reading() as reader:
        at = bookkeeping.standing(reader, projection.name)
        if at is None:
            raise UnknownProjection(projection.name)
        if at.version != projection.version:
            # The rows are those of another fold; there is nothing to hold them against.
            raise SwitchedMeanwhile(projection.name)
        _fold_into(scratch, reader, projection, at.position, progress)
        tables = [_compare(reader, scratch, table) for table in projection.tables]
    with store.reading() as reader:
        after = bookkeeping.standing(reader, projection.name)
    # A snapshot does not hold table names still on PostgreSQL.
    if after is None or after.generation != at.generation:
        raise SwitchedMeanwhile(projection.name)
    return Verdict(projection.name, at.position, tables)


def _fold_into(
    scratch: Transaction,
    reader: Reader,
    projection: Projection,
    upto: int,
    progress: Callable[[int, int], object],
) -> None:
    for table in projection.tables:
        scratch.execute(create_table(table, scratch.dialect, suffix=LIVE, generation=0))
    skipped = bookkeeping.skipped(reader, projection.name)
    position = 0
    while position < upto:
        progress(position, upto)
        taken = take(reader, projection, position, BATCH, upto=upto, skipped=skipped)
        if taken.failure is not None:
            raise taken.failure
        execute(scratch, taken.steps)
        position = taken.upto
    progress(upto, upto)


def _compare(reader: Reader, scratch: Reader, table: Table) -> TableVerdict:
    live = rows_in_key_order(reader, table)
    folded = rows_in_key_order(scratch, table)
    different = 0
    shown: list[Difference] = []
    for difference in differences(table, iter(live), iter(folded)):
        different += 1
        if len(shown) < SHOWN:
            shown.append(difference)
    return TableVerdict(
        table.name, live.count, live.hexdigest(), folded.hexdigest(), different, shown
    )
