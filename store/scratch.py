"""A scratch database for checking read models: SQLite in a temporary file, thrown away after."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Literal

from gatebook.domain.envelope import Recorded
from gatebook.projections.ports import Row, Value

MEMORY: Final = Path(":memory:")
"""Where a scratch database is nowhere: for what is small."""


class Scratch:
    """A `Transaction` over a database that nobody else sees and that need not survive."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        return self._connection.execute(sql, params).fetchall()

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterable[Row]:
        return self._connection.execute(sql, params)

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        return self._connection.execute(sql, params).rowcount

    def executemany(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._connection.executemany(sql, rows)

    def head(self) -> int:
        """There is no log in here."""
        return 0

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:  # noqa: ARG002 - there is no log
        """There is no log in here."""
        return []


@contextmanager
def open_scratch(path: Path) -> Iterator[Scratch]:
    """An empty scratch database at a path that does not exist yet, or in `MEMORY`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA temp_store=FILE")
        connection.execute("BEGIN")
        yield Scratch(connection)
        connection.execute("COMMIT")
