"""What the self-check found last: one row a read model, beside them.

The table may be lost at any time: a round of the check fills it again.
"""

from __future__ import annotations

import msgspec

from gatebook.projections.ports import Dialect, Transaction
from gatebook.projections.rows import Queries, maybe_text, number, text

_INTEGER: dict[Dialect, str] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}
_STRICT: dict[Dialect, str] = {"sqlite": " STRICT", "postgresql": ""}


class Checked(msgspec.Struct, frozen=True):
    """What is known of a read model: at `checked_at` (microseconds) a round ended, or found more.

    `rounds` since the table was made; `drifted` rows of `table` were not what the log says.
    """

    name: str
    rounds: int
    checked_at: int
    rows: int
    drifted: int
    table: str | None


def create(tx: Transaction) -> None:
    """Makes the table unless it exists."""
    integer, strict = _INTEGER[tx.dialect], _STRICT[tx.dialect]
    tx.execute(
        "CREATE TABLE IF NOT EXISTS projections_checked (name TEXT PRIMARY KEY, "
        f"rounds {integer} NOT NULL, checked_at {integer} NOT NULL, rows {integer} NOT NULL, "
        f"drifted {integer} NOT NULL, drifted_table TEXT){strict}"
    )


def checked(source: Queries) -> dict[str, Checked]:
    """What is known of each read model that was looked at, by name."""
    found = source.query(
        "SELECT name, rounds, checked_at, rows, drifted, drifted_table FROM projections_checked"
    )
    return {
        text(row[0]): Checked(
            text(row[0]),
            number(row[1]),
            number(row[2]),
            number(row[3]),
            number(row[4]),
            maybe_text(row[5]),
        )
        for row in found
    }


def keep(tx: Transaction, row: Checked) -> None:
    """What is known from here on."""
    tx.execute("DELETE FROM projections_checked WHERE name = ?", (row.name,))
    tx.execute(
        "INSERT INTO projections_checked (name, rounds, checked_at, rows, drifted, drifted_table) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (row.name, row.rounds, row.checked_at, row.rows, row.drifted, row.table),
    )
