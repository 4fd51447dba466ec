"""Changes to the rows of a read model: what a fold returns for an event."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import msgspec

from gatebook.projections.ports import Value
from gatebook.projections.tables import Key, Table

Fields = Mapping[str, Value]

_NOTHING: Mapping[str, int] = MappingProxyType({})


class Put(msgspec.Struct, frozen=True, gc=False):
    """The row is this, whether it was there before or not. `row` names every column."""

    table: Table
    row: Fields


class Patch(msgspec.Struct, frozen=True, gc=False):
    """The row with that key, if there is one, gets these values and sums.

    Neither touches the key. A column is in `values` or in `add`, never in both, and what is added
    to is never empty. `when` names a column and the value it must hold, else nothing changes.
    """

    table: Table
    key: Key
    values: Fields = _NOTHING
    add: Mapping[str, int] = _NOTHING
    when: tuple[str, bytes | int | str] | None = None


class Drop(msgspec.Struct, frozen=True, gc=False):
    """The row with that key is gone."""

    table: Table
    key: Key


class DropWhere(msgspec.Struct, frozen=True, gc=False):
    """All rows with such a value are gone. It may cost a batch its end: it is for rare events."""

    table: Table
    column: str
    op: Literal["=", "<"]
    value: bytes | int | str


Change = Put | Patch | Drop | DropWhere

Shape = tuple[str, ...]
"""What makes two changes of one table the same statement: its kind, then its columns."""


def merge(first: Put | Patch | Drop, second: Put | Patch | Drop) -> Put | Patch | Drop | None:
    """One change that does what two on the same key do in turn; None if there is no such one."""
    if not isinstance(second, Patch):
        return second
    if isinstance(first, Drop):
        return first
    if isinstance(first, Patch) and first.when is not None:
        return None
    known = first.row if isinstance(first, Put) else first.values
    if second.when is not None:
        column, expected = second.when
        if column not in known:
            return None
        if known[column] != expected:
            return first
    values: dict[str, Value] = {**known, **second.values}
    if isinstance(first, Put):
        for column, amount in second.add.items():
            values[column] = _sum(values[column], amount)
        return Put(first.table, values)
    add = {column: n for column, n in first.add.items() if column not in second.values}
    for column, amount in second.add.items():
        if column in values:
            values[column] = _sum(values[column], amount)
        else:
            add[column] = add.get(column, 0) + amount
    return Patch(first.table, first.key, values, add)


def _sum(value: Value, amount: int) -> Value:
    """As SQL adds: nothing and something is nothing."""
    return value + amount if isinstance(value, int) else None


def statement(change: Change) -> tuple[Shape, Key]:
    """The shape of a change's statement and the parameters for it."""
    match change:
        case Put(table=table, row=row):
            return ("put",), table.values_of(row)
        case Drop(key=key):
            return ("drop",), key
        case Patch(key=key, values=values, add=add, when=when):
            shape = ("patch", *values, "+", *add)
            given = (*values.values(), *add.values(), *key)
            if when is None:
                return shape, given
            return (*shape, "?", when[0]), (*given, when[1])
        case DropWhere(column=column, op=op, value=value):
            return ("where", column, op), (value,)


@lru_cache(maxsize=1024)
def sql(table: Table, suffix: str, shape: Shape) -> str:
    """The text of a statement. Every name in it is a declared one, so none is quoted."""
    name = f"{table.name}{suffix}"
    by_key = " AND ".join(f"{column} = ?" for column in table.key)
    match shape:
        case ("put",):
            marks = ", ".join("?" * len(table.names))
            rest = [column for column in table.names if column not in table.key]
            sets = ", ".join(f"{column} = excluded.{column}" for column in rest)
            return (
                f"INSERT INTO {name} ({', '.join(table.names)}) VALUES ({marks}) "  # noqa: S608
                f"ON CONFLICT ({', '.join(table.key)}) DO "
                + (f"UPDATE SET {sets}" if rest else "NOTHING")
            )
        case ("drop",):
            return f"DELETE FROM {name} WHERE {by_key}"  # noqa: S608 - see the docstring
        case ("where", column, op):
            return f"DELETE FROM {name} WHERE {column} {op} ?"  # noqa: S608 - see the docstring
        case ("patch", *columns):
            middle = columns.index("+")
            end = columns.index("?") if "?" in columns else len(columns)
            sets = ", ".join(
                [f"{column} = ?" for column in columns[:middle]]
                + [f"{column} = {column} + ?" for column in columns[middle + 1 : end]]
            )
            guard = f" AND {columns[end + 1]} = ?" if end < len(columns) else ""
            return f"UPDATE {name} SET {sets} WHERE {by_key}{guard}"  # noqa: S608 - as above
        case _:
            msg = f"no statement has the shape {shape}"
            raise ValueError(msg)
