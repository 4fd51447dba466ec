"""The tables of a read model: their declaration and their DDL in both dialects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Literal, cast

import msgspec

from gatebook.projections.ports import Dialect, Value

Kind = Literal["bytes", "integer", "text"]
Key = tuple[Value, ...]

LIVE = ""
NEXT = "__next"
OLD = "__old"

# The collation is spelled out because rows are compared in key order across stores: SQLite
# compares text by bytes, PostgreSQL by the locale of its cluster.
_TYPES: dict[Dialect, dict[Kind, str]] = {
    "sqlite": {"bytes": "BLOB", "integer": "INTEGER", "text": "TEXT"},
    "postgresql": {"bytes": "BYTEA", "integer": "BIGINT", "text": 'TEXT COLLATE "C"'},
}


class Column(msgspec.Struct, frozen=True):
    """A column. `null` says whether it may be empty."""

    name: str
    kind: Kind
    null: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a read model. `key` names its primary key; `indexes` the columns of each index.

    `sought` is a column by which a fold drops rows: its index is there before the rows are, or each
    drop would look at all of them. Its live rows are in the table of this very name, a rebuild's in
    `<name>__next`.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    sought: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def key_of(self) -> Callable[[Mapping[str, Value]], Key]:
        """Picks the key out of a row."""
        return _picker(self.key)

    @cached_property
    def values_of(self) -> Callable[[Mapping[str, Value]], Key]:
        """Puts a row's values into the order of the columns."""
        return _picker(self.names)


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Value]], Key]:
    if len(names) == 1:
        (name,) = names
        return lambda row: (row[name],)
    return cast("Callable[[Mapping[str, Value]], Key]", itemgetter(*names))


def create_table(table: Table, dialect: Dialect, *, suffix: str, generation: int) -> str:
    """The statement that creates a table, without its secondary indexes."""
    types = _TYPES[dialect]
    columns = [
        f"{column.name} {types[column.kind]}{'' if column.null else ' NOT NULL'}"
        for column in table.columns
    ]
    rowid = [c.kind for c in table.columns if c.name in table.key] == ["integer"]
    if dialect == "sqlite" and rowid:
        columns = [
            f"{table.key[0]} INTEGER PRIMARY KEY" if text.startswith(f"{table.key[0]} ") else text
            for text in columns
        ]
        return f"CREATE TABLE {table.name}{suffix} ({', '.join(columns)}) STRICT"
    key = f"CONSTRAINT {table.name}_g{generation}_pk PRIMARY KEY ({', '.join(table.key)})"
    options = " STRICT, WITHOUT ROWID" if dialect == "sqlite" else ""
    return f"CREATE TABLE {table.name}{suffix} ({', '.join(columns)}, {key}){options}"


def create_indexes(
    table: Table, *, suffix: str, generation: int, sought: bool = False
) -> list[str]:
    """The statements that create the secondary indexes, or those of the `sought` column alone.

    Running them again does nothing.

    An index keeps its name when its table is renamed, so the name carries the generation.
    """
    return [
        f"CREATE INDEX IF NOT EXISTS {table.name}_g{generation}_{'_'.join(columns)} "
        f"ON {table.name}{suffix} ({', '.join(columns)})"
        for columns in table.indexes
        if not sought or columns == (table.sought,)
    ]


def drop_table(table: Table, suffix: str) -> str:
    """The statement that drops a table if it is there."""
    return f"DROP TABLE IF EXISTS {table.name}{suffix}"


def rename_table(table: Table, old: str, new: str) -> str:
    """The statement that renames a table from one suffix to another."""
    return f"ALTER TABLE {table.name}{old} RENAME TO {table.name}{new}"


def select_in_key_order(table: Table, suffix: str) -> str:
    """The statement that reads all rows in the order of the key."""
    return (
        f"SELECT {', '.join(table.names)} FROM {table.name}{suffix} "  # noqa: S608 - our own names
        f"ORDER BY {', '.join(table.key)}"
    )
