"""Many changes, executed as few statements, with the result of executing them one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gatebook.projections.bulk import WORTHWHILE, bulk_sql, parameter
from gatebook.projections.changes import (
    Change,
    Drop,
    DropWhere,
    Patch,
    Put,
    Shape,
    merge,
    sql,
    statement,
)
from gatebook.projections.ports import Transaction, Value
from gatebook.projections.tables import Key, Table

PointChange = Put | Patch | Drop
_Layer = dict[Table, dict[Key, PointChange]]


class Step(NamedTuple):
    """One statement and the rows it runs for. The rows do not touch each other."""

    table: Table
    shape: Shape
    rows: list[Key]


class Batch:
    """Collects changes and works out the steps.

    Changes on different keys may trade places, so each key keeps one merged change. What cannot
    be merged goes to the next layer. A change that is not about one key goes before all layers;
    where one of theirs decides what it drops, it ends them.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._first: dict[tuple[Table, Shape], DropWhere] = {}
        self._layers: list[_Layer] = [{}]
        self._raised: dict[tuple[Table, Key], int] = {}
        self._put: dict[Table, list[Key]] = {}
        self._patched: set[tuple[Table | str, ...]] = set()

    def add(self, change: Change) -> None:
        """Takes in a change, after all those before."""
        if isinstance(change, DropWhere):
            self._add_first(change)
            return
        table = change.table
        if isinstance(change, Put):
            key = table.key_of(change.row)
            self._put.setdefault(table, []).append(key)
        else:
            key = change.key
            if isinstance(change, Patch):
                self._patched.add((table, *change.values, *change.add))
        level = self._raised.get((table, key), 0) if self._raised else 0
        rows = self._layers[level].setdefault(table, {})
        first = rows.get(key)
        if first is None:
            rows[key] = change
            return
        merged = merge(first, change)
        if merged is not None:
            rows[key] = merged
            return
        self._raised[table, key] = level + 1
        if level + 1 == len(self._layers):
            self._layers.append({})
        self._layers[level + 1].setdefault(table, {})[key] = change

    def steps(self) -> list[Step]:
        """The steps so far, to be executed in this order."""
        self._end_layers()
        return self._steps

    def _add_first(self, change: DropWhere) -> None:
        table = change.table
        if any(one[0] is table and change.column in one for one in self._patched):
            # What it drops depends on what the rows hold, so they are brought level first.
            self._end_layers()
        for layer in self._layers:
            rows = layer.get(table, {})
            for key in self._put.get(table, ()):
                waiting = rows.get(key)
                if isinstance(waiting, Put) and _drops(change, waiting.row[change.column]):
                    rows[key] = Drop(table, key)
        shape, (value,) = statement(change)
        if change.op == "=":
            shape = (*shape, repr(value))
        before = self._first.get((table, shape))
        if before is None or before.value < change.value:  # type: ignore[operator]  # of one column
            self._first[table, shape] = change

    def _end_layers(self) -> None:
        for change in self._first.values():
            shape, row = statement(change)
            self._steps.append(Step(change.table, shape, [row]))
        self._first = {}
        for layer in self._layers:
            for table, rows in layer.items():
                self._steps.extend(_steps_of(table, rows))
        self._layers = [{}]
        self._raised = {}
        self._put = {}
        self._patched = set()


def _drops(change: DropWhere, found: Value) -> bool:
    """As SQL compares: nothing is neither less nor equal."""
    if found is None or change.op == "=":
        return found is not None and found == change.value
    return found < change.value  # type: ignore[operator]  # of one column


class Rows:
    """The same for a projection with a row an event, of which none touches another."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: list[Key] = []

    def add(self, change: Change) -> None:
        """Takes in an event's row."""
        assert isinstance(change, Put)  # see Projection.by_event
        self._rows.append(self._table.values_of(change.row))

    def steps(self) -> list[Step]:
        """One step, or none."""
        return [Step(self._table, ("put",), self._rows)] if self._rows else []


def _steps_of(table: Table, rows: dict[Key, PointChange]) -> Iterable[Step]:
    shapes: dict[Shape, list[Key]] = {}
    # In key order a B-tree is walked once instead of searched for every row.
    for key in sorted(rows) if len(rows) > 1 else rows:
        shape, row = statement(rows[key])
        shapes.setdefault(shape, []).append(row)
    return [Step(table, shape, found) for shape, found in shapes.items()]


def plan(changes: Iterable[Change]) -> list[Step]:
    """The steps that do what the changes do in turn."""
    batch = Batch()
    for change in changes:
        batch.add(change)
    return batch.steps()


def execute(tx: Transaction, steps: Iterable[Step], suffix: str = "") -> None:
    """Executes steps on the tables of that suffix."""
    for table, shape, rows in steps:
        if len(rows) == 1:
            tx.execute(sql(table, suffix, shape), rows[0])
        elif tx.dialect == "postgresql" and len(rows) >= WORTHWHILE:
            tx.execute(bulk_sql(table, suffix, shape), (parameter(rows),))
        else:
            tx.executemany(sql(table, suffix, shape), rows)
