"""The tables of the tree, beside the log: hashes, signed heads, how far it is, its witnesses.

`tree_tiles.hashes` holds up to 256 hashes of 32 bytes. `tree_state` has one row: `size` leaves are
in the tiles; `halted` says in words why nothing is signed any more. All can be made again from the
log but the heads' signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec

from gatebook.projections.ports import Dialect, Transaction
from gatebook.projections.rows import Queries, maybe_text, number, text

KEPT: Final = 1_000
"""Heads that are kept whatever their age; of the older ones the last of each hour."""

HOUR: Final = 3_600_000_000
PRUNED_AT_ONCE: Final = 500

DAMAGED: Final = "the tree beside the log is damaged"
"""How the reason begins when signing stopped for the tables here, and not for a head."""

_INTEGER: dict[Dialect, str] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}
_BYTES: dict[Dialect, str] = {"sqlite": "BLOB", "postgresql": "BYTEA"}
_STRICT: dict[Dialect, str] = {"sqlite": " STRICT", "postgresql": ""}


class State(msgspec.Struct, frozen=True):
    """How many events the tree has taken in, and why signing stopped, in words, if it did."""

    size: int
    halted: str | None

    @property
    def in_conflict(self) -> bool:
        """Whether signing stopped for a head that is not of this log."""
        return self.halted is not None and not self.halted.startswith(DAMAGED)


class Head(msgspec.Struct, frozen=True):
    """A signed head: a row of `tree_heads`. `signed_at` is in microseconds since the epoch."""

    size: int
    root: bytes
    note: str
    signed_at: int


class WitnessRow(msgspec.Struct, frozen=True):
    """What the signer last did with a witness: it got the head of `size` events, or `trouble`."""

    name: str
    size: int
    written_at: int
    trouble: str | None


def create(tx: Transaction) -> None:
    """Makes the tables unless they exist."""
    integer, blob, strict = _INTEGER[tx.dialect], _BYTES[tx.dialect], _STRICT[tx.dialect]
    for columns in (
        f"tree_tiles (level {integer} NOT NULL, tile {integer} NOT NULL, hashes {blob} NOT NULL, "
        "PRIMARY KEY (level, tile))",
        f"tree_heads (size {integer} PRIMARY KEY, root {blob} NOT NULL, note TEXT NOT NULL, "
        f"signed_at {integer} NOT NULL)",
        f"tree_state (one {integer} PRIMARY KEY CHECK (one = 1), size {integer} NOT NULL, "
        "halted TEXT)",
        f"tree_witnesses (name TEXT PRIMARY KEY, size {integer} NOT NULL, "
        f"written_at {integer} NOT NULL, trouble TEXT)",
    ):
        tx.execute(f"CREATE TABLE IF NOT EXISTS {columns}{strict}")
    tx.execute("INSERT INTO tree_state (one, size) VALUES (1, 0) ON CONFLICT DO NOTHING")


def state(reader: Queries) -> State:
    """How far the tree is. Costs one row."""
    found = reader.query("SELECT size, halted FROM tree_state")
    return State(number(found[0][0]), maybe_text(found[0][1])) if found else State(0, None)


def move(tx: Transaction, before: int, after: int) -> bool:
    """Moves the size on; False when it is not `before` any more, or signing was stopped."""
    sql = "UPDATE tree_state SET size = ? WHERE size = ? AND halted IS NULL"
    return tx.execute(sql, (after, before)) == 1


def mend_size(tx: Transaction, size: int) -> None:
    """Moves the size on to where the tiles are; never back."""
    tx.execute("UPDATE tree_state SET size = ? WHERE size < ?", (size, size))


def halt(tx: Transaction, reason: str | None) -> None:
    """Stops signing, or with None lets it go on."""
    tx.execute("UPDATE tree_state SET halted = ?", (reason,))


def tile(reader: Queries, level: int, index: int) -> bytes:
    """The hashes of a tile; empty when there is none."""
    sql = "SELECT hashes FROM tree_tiles WHERE level = ? AND tile = ?"
    found = reader.query(sql, (level, index))
    return cast("bytes", found[0][0]) if found else b""


def put_tiles(tx: Transaction, tiles: Mapping[tuple[int, int], bytes]) -> None:
    """Writes tiles over what was there."""
    tx.executemany(
        "INSERT INTO tree_tiles (level, tile, hashes) VALUES (?, ?, ?) "
        "ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes",
        [(level, index, hashes) for (level, index), hashes in tiles.items()],
    )


def newest_head(reader: Queries) -> Head | None:
    """The head that was signed last."""
    found = heads(reader, 1)
    return found[0] if found else None


def heads(reader: Queries, most: int) -> list[Head]:
    """The newest heads, newest first."""
    sql = "SELECT size, root, note, signed_at FROM tree_heads ORDER BY size DESC LIMIT ?"
    return [_head(row) for row in reader.query(sql, (most,))]


def head_of(reader: Queries, size: int) -> Head | None:
    """The head of exactly so many events, if one was signed and is kept."""
    sql = "SELECT size, root, note, signed_at FROM tree_heads WHERE size = ?"
    found = reader.query(sql, (size,))
    return _head(found[0]) if found else None


def next_head(reader: Queries, size: int) -> Head | None:
    """The smallest head of more than `size` events."""
    sql = "SELECT size, root, note, signed_at FROM tree_heads WHERE size > ? ORDER BY size LIMIT 1"
    found = reader.query(sql, (size,))
    return _head(found[0]) if found else None


def _head(row: Sequence[object]) -> Head:
    return msgspec.convert(dict(zip(("size", "root", "note", "signed_at"), row, strict=True)), Head)


def put_head(tx: Transaction, head: Head) -> None:
    """Adds a head. Raises the store's error for a size that has one: sizes only grow."""
    sql = "INSERT INTO tree_heads (size, root, note, signed_at) VALUES (?, ?, ?, ?)"
    tx.execute(sql, (head.size, head.root, head.note, head.signed_at))


def prune_heads(tx: Transaction, kept: int = KEPT) -> int:
    """Drops heads beyond the newest `kept` that are not the last of their hour. Returns how many.

    At most some hundred at a time, so that nobody waits for it.
    """
    edge = tx.query("SELECT size FROM tree_heads ORDER BY size DESC LIMIT 1 OFFSET ?", (kept - 1,))
    if not edge:
        return 0
    sql = "SELECT size, signed_at FROM tree_heads WHERE size <= ? ORDER BY size DESC LIMIT ?"
    older = tx.query(sql, (edge[0][0], PRUNED_AT_ONCE))
    hours = [number(row[1]) // HOUR for row in older]
    doomed = [(older[at][0],) for at in range(1, len(older)) if hours[at] == hours[at - 1]]
    if doomed:
        tx.executemany("DELETE FROM tree_heads WHERE size = ?", doomed)
    return len(doomed)


def witnesses(reader: Queries) -> list[WitnessRow]:
    """What the signer last did with each witness."""
    sql = "SELECT name, size, written_at, trouble FROM tree_witnesses ORDER BY name"
    return [
        WitnessRow(text(row[0]), number(row[1]), number(row[2]), maybe_text(row[3]))
        for row in reader.query(sql)
    ]


def in_trouble(reader: Queries, configured: Sequence[str]) -> list[WitnessRow]:
    """The witnesses of a configuration that could not be read or written when last tried."""
    found = witnesses(reader)
    return [row for row in found if row.trouble is not None and row.name in configured]


def put_witness(tx: Transaction, row: WitnessRow) -> None:
    """Writes what was last done with a witness."""
    tx.execute(
        "INSERT INTO tree_witnesses (name, size, written_at, trouble) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET size = excluded.size, "
        "written_at = excluded.written_at, trouble = excluded.trouble",
        (row.name, row.size, row.written_at, row.trouble),
    )


def keep_witnesses(tx: Transaction, names: Sequence[str]) -> None:
    """Forgets witnesses that are not configured any more."""
    for row in witnesses(tx):
        if row.name not in names:
            tx.execute("DELETE FROM tree_witnesses WHERE name = ?", (row.name,))


def start_over(tx: Transaction) -> None:
    """Empties the tree and forgets its heads: it grows anew from the log."""
    tx.execute("DELETE FROM tree_tiles")
    tx.execute("DELETE FROM tree_heads")
    tx.execute("UPDATE tree_state SET size = 0, halted = NULL")
