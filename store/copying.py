"""The log's rows and its signed heads, from one store into another that is new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

import msgspec

from gatebook.projections import tree_tables
from gatebook.projections.tree import Tower
from gatebook.store.faults import StoreRefused
from gatebook.store.log_reader import COLUMNS, LogReader, LogTransaction, StoredRow
from gatebook.store.new_store import insert

ROWS_AT_A_TIME: Final = 2_000

_EVENTS = f"SELECT {COLUMNS} FROM log WHERE position <= ? ORDER BY position"  # noqa: S608  # constant
_HEADS = "SELECT size, root, note, signed_at FROM tree_heads WHERE size <= ? ORDER BY size"
_HAS_HEADS = {
    "sqlite": "SELECT count(*) FROM sqlite_schema WHERE name = 'tree_heads'",
    "postgresql": "SELECT count(to_regclass('tree_heads'))",
}

Tell = Callable[[int, int], None]
"""Told (done, total) in events."""


class Copied(msgspec.Struct, frozen=True):
    """What is in a copy: events up to `head`, and the newest signed head in it, or size 0."""

    head: int
    size: int = 0
    root: bytes = b""


Check = Callable[[Sequence[StoredRow]], object]
"""Shown every event that is copied, in order."""


def copy_rows(reader: LogReader, tx: LogTransaction, upto: int, tell: Tell, check: Check) -> Copied:
    """Copies events and signed heads up to a position, in bounded memory, within a snapshot."""
    done = 0
    for chunk in _chunks(reader, upto):
        insert(tx, chunk)
        check(chunk)
        done += len(chunk)
        tell(done, upto)
    return _copy_heads(reader, tx, done)


def copy_grown(reader: LogReader, tx: LogTransaction, upto: int, tell: Tell) -> Copied:
    """The same, and grows the tree over it: the next head can be signed at once."""
    tower = Tower()
    for chunk in _chunks(reader, upto):
        insert(tx, chunk)
        growth = tower.grow(chunk)
        tree_tables.put_tiles(tx, growth.tiles)
        tree_tables.move(tx, growth.before, growth.after)
        tell(tower.size, upto)
    return _copy_heads(reader, tx, tower.size)


def _chunks(reader: LogReader, upto: int) -> Iterator[list[StoredRow]]:
    rows = iter(reader.rows(_EVENTS, (upto,)))
    positions = itertools.count(1)
    while chunk := cast("list[StoredRow]", list(itertools.islice(rows, ROWS_AT_A_TIME))):
        for row, position in zip(chunk, positions, strict=False):
            if row[0] != position:
                raise StoreRefused(
                    f"event {position} is missing, and a log with a gap cannot be copied: "
                    "gatebook audit verify"
                )
        yield chunk


def _copy_heads(reader: LogReader, tx: LogTransaction, upto: int) -> Copied:
    copied = Copied(upto)
    if not reader.query(_HAS_HEADS[reader.dialect])[0][0]:
        return copied
    for size, root, note, signed_at in reader.rows(_HEADS, (upto,)):
        head = msgspec.convert(
            {"size": size, "root": root, "note": note, "signed_at": signed_at}, tree_tables.Head
        )
        tree_tables.put_head(tx, head)
        copied = Copied(upto, head.size, head.root)
    return copied
