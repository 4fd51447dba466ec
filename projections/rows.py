"""Reading typed values out of rows, and the little that queries need of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast
from uuid import UUID

from gatebook.projections.ports import Row, Value


class Queries(Protocol):
    """Whatever answers a query: a `Reader`, or the store itself."""

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...


def number(value: Value) -> int:
    """A column declared as integer and not null."""
    return cast("int", value)


def text(value: Value) -> str:
    """A column declared as text and not null."""
    return cast("str", value)


def uuid(value: Value) -> UUID:
    """A column that holds the 16 bytes of a UUID."""
    return UUID(bytes=cast("bytes", value))


def maybe_number(value: Value) -> int | None:
    """A column declared as integer."""
    return cast("int | None", value)


def maybe_text(value: Value) -> str | None:
    """A column declared as text."""
    return cast("str | None", value)


def maybe_uuid(value: Value) -> UUID | None:
    """A column that holds the 16 bytes of a UUID, or nothing."""
    return None if value is None else uuid(value)


def marks(count: int) -> str:
    """So many placeholders."""
    return ", ".join("?" * count)
