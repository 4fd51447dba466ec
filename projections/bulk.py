"""Many rows in one statement, for PostgreSQL: a statement a row costs it more than the row does.

The rows travel as one JSON parameter, binary values in base64, and the server takes them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from gatebook.projections.changes import Shape
from gatebook.projections.tables import Key, Kind, Table

WORTHWHILE = 16
"""Rows from which on one statement is cheaper than one a row."""

_JSON_TYPES: dict[Kind, str] = {"bytes": "text", "integer": "bigint", "text": "text"}
_ENCODER = msgspec.json.Encoder()


def parameter(rows: Sequence[Key]) -> str:
    """The rows as the one parameter of a bulk statement."""
    names = [f"p{place}" for place in range(len(rows[0]))]
    return _ENCODER.encode([dict(zip(names, row, strict=True)) for row in rows]).decode()


@lru_cache(maxsize=256)
def bulk_sql(table: Table, suffix: str, shape: Shape) -> str:
    """What `sql(table, suffix, shape)` does for one row, for all rows of `parameter`."""
    name = f"{table.name}{suffix}"
    match shape:
        case ("put",):
            values = _Values(table, table.names)
            rest = [column for column in table.names if column not in table.key]
            sets = ", ".join(f"{column} = excluded.{column}" for column in rest)
            return (
                f"INSERT INTO {name} ({', '.join(table.names)}) "  # noqa: S608 - declared names
                f"SELECT {', '.join(values.all())} FROM {values} "
                f"ON CONFLICT ({', '.join(table.key)}) DO "
                + (f"UPDATE SET {sets}" if rest else "NOTHING")
            )
        case ("drop",):
            values = _Values(table, table.key)
            return f"DELETE FROM {name} t USING {values} WHERE {_same(table.key, values)}"  # noqa: S608 - as above
        case ("patch", *columns):
            middle = columns.index("+")
            end = columns.index("?") if "?" in columns else len(columns)
            given, added, when = columns[:middle], columns[middle + 1 : end], columns[end + 1 :]
            values = _Values(table, (*given, *added, *table.key, *when))
            changed = [f"{column} = {values.take()}" for column in given]
            changed += [f"{column} = t.{column} + {values.take()}" for column in added]
            where = _same((*table.key, *when), values)
            return f"UPDATE {name} t SET {', '.join(changed)} FROM {values} WHERE {where}"  # noqa: S608 - as above
        case _:
            msg = f"no bulk statement has the shape {shape}"
            raise ValueError(msg)


class _Values:
    """The source of rows in a statement, whose values are taken in turn."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        kinds = {column.name: column.kind for column in table.columns}
        self._kinds = [kinds[column] for column in columns]
        self._taken = 0

    def take(self) -> str:
        """The next value."""
        place = self._taken
        self._taken += 1
        value = f"r.p{place}"
        return f"decode({value}, 'base64')" if self._kinds[place] == "bytes" else value

    def all(self) -> list[str]:
        """Every value."""
        return [self.take() for _ in self._kinds]

    def __str__(self) -> str:
        declared = (f"p{place} {_JSON_TYPES[kind]}" for place, kind in enumerate(self._kinds))
        return f"json_to_recordset(CAST(? AS json)) AS r({', '.join(declared)})"


def _same(columns: Sequence[str], values: _Values) -> str:
    return " AND ".join(f"t.{column} = {values.take()}" for column in columns)
