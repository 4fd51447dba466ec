"""The tree over the log: takes raw rows into tiles, and says what it hashes to.

New rows are read and hashed outside any transaction; what changed is then written in a short one,
which also moves the size on from where it was read. Whoever comes second changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gatebook.projections import tree_tables as tables
from gatebook.projections.leaf import RawLog, RawRow, entry_of
from gatebook.projections.merkle import HASH_SIZE, leaf_hash, node_hash, root
from gatebook.projections.ports import ProjectionStore, Transaction
from gatebook.projections.rows import Queries
from gatebook.projections.tiles import HEIGHT, WIDTH, Subtrees, TilesDamaged, width_at

BATCH = 2_048
"""Events that are hashed before they are written: about a megabyte. Whoever appends waits while the
tiles of a batch are written; 4,096 kept him 5.5 ms (median), so it is half of that."""


class TreeStore(ProjectionStore, RawLog, Queries, Protocol):
    """The store as the tree sees it."""


class LogUnlikeTree(Exception):
    """The log is not the one that the tree was grown from. The message says how."""


class Growth(msgspec.Struct, frozen=True):
    """What some events change: the tiles that are written, and the size they lead to."""

    before: int
    after: int
    tiles: dict[tuple[int, int], bytes]


class Tower:
    """The rightmost tiles of a tree: all that it takes to let it grow, and its root."""

    def __init__(self, size: int = 0, partial: Sequence[bytes] = ()) -> None:
        """`partial`: at each level the hashes of the last tile, unless that is full."""
        self.size = size
        self._partial = [bytearray(hashes) for hashes in partial]

    @classmethod
    def load(cls, reader: Queries, size: int) -> Tower:
        """The tower of the tiles as they are stored. Raises TilesDamaged."""
        partial: list[bytes] = []
        while size >> HEIGHT * len(partial):
            level = len(partial)
            index = (size >> HEIGHT * level) // WIDTH
            width = width_at(size, level, index)
            hashes = tables.tile(reader, level, index)[: width * HASH_SIZE]
            if len(hashes) != width * HASH_SIZE:
                raise TilesDamaged(f"tile {index} of level {level} is too short")
            partial.append(hashes)
        return cls(size, partial)

    def grow(self, rows: Sequence[RawRow]) -> Growth:
        """Takes in the rows that follow. Raises LogUnlikeTree when one is missing."""
        before, full = self.size, dict[tuple[int, int], bytes]()
        for row in rows:
            if row[0] != self.size + 1:
                raise LogUnlikeTree(f"event {self.size + 1} is missing from the log")
            self._add(_hashed(row), full)
            self.size += 1
        return Growth(before, self.size, full | self._open_tiles())

    def _add(self, found: bytes, full: dict[tuple[int, int], bytes]) -> None:
        """Adds a leaf's hash, and above it the root of each tile that this fills."""
        for level in range(64):
            if level == len(self._partial):
                self._partial.append(bytearray())
            hashes = self._partial[level]
            hashes += found
            if len(hashes) < WIDTH * HASH_SIZE:
                return
            index = (self.size >> HEIGHT * level) // WIDTH
            full[level, index] = bytes(hashes)
            self._partial[level] = bytearray()
            found = _folded(full[level, index])

    def _open_tiles(self) -> dict[tuple[int, int], bytes]:
        return {
            (level, (self.size >> HEIGHT * level) // WIDTH): bytes(hashes)
            for level, hashes in enumerate(self._partial)
            if hashes
        }

    def root(self) -> bytes:
        """The root over all that was taken in."""
        open_tiles = self._open_tiles()
        return root(self.size, Subtrees(lambda level, index: open_tiles[level, index]))


def _hashed(row: RawRow) -> bytes:
    try:
        return leaf_hash(entry_of(row))
    except (struct.error, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise LogUnlikeTree(f"event {row[0]} has a value that no leaf can hold") from error


def _folded(hashes: bytes) -> bytes:
    row = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def subtrees(reader: Queries) -> Subtrees:
    """The hashes of complete subtrees out of the stored tiles, for one question."""
    return Subtrees(lambda level, index: tables.tile(reader, level, index))


class Keeper:
    """Lets the stored tree grow with the log. One at a time works; more do no harm."""

    def __init__(self, store: TreeStore) -> None:
        self._store = store
        self._tower: Tower | None = None

    def load(self) -> int:
        """Takes up the stored tree. Returns its size.

        Raises LogUnlikeTree when the log is shorter, TilesDamaged when tiles are missing.
        """
        with self._store.reading() as reader:
            size = tables.state(reader).size
            head = reader.head()
            if head < size:
                raise LogUnlikeTree(f"the log ends at {head}, the tree has {size} events")
            self._tower = Tower.load(reader, size)
        return size

    def lag(self) -> int:
        """Events that the log is ahead. Raises LogUnlikeTree when it is shorter."""
        head, size = self._store.head(), self._loaded.size
        if head < size:
            raise LogUnlikeTree(f"the log ends at {head}, the tree has {size} events")
        return head - size

    def step(self, sign: Callable[[int, bytes], tables.Head] | None = None) -> tables.Head | None:
        """Takes in one batch. `sign` makes the head of (size, root) that is stored with it.

        Returns that head, once it is stored for good; None when another was faster, or signing was
        stopped: then `load` again. A crash before the commit leaves the tree as it was.
        """
        tower = self._loaded
        rows = self._store.raw(tower.size, BATCH)
        growth = tower.grow(rows)
        head = sign(tower.size, tower.root()) if sign is not None else None
        with self._store.writing() as tx:
            moved = tables.move(tx, growth.before, growth.after)
            if moved:
                tables.put_tiles(tx, growth.tiles)
                _put(tx, head)
        if not moved:
            self._tower = None
            return None
        return head

    @property
    def loaded(self) -> bool:
        """Whether the stored tree is where this one left it, as far as is known."""
        return self._tower is not None

    @property
    def size(self) -> int:
        """Events taken in."""
        return self._loaded.size

    def forget(self) -> None:
        """Lets the tree be taken up anew: after a failure nobody knows what was stored."""
        self._tower = None

    @property
    def _loaded(self) -> Tower:
        if self._tower is None:
            raise LookupError("the tree is not loaded")
        return self._tower


def _put(tx: Transaction, head: tables.Head | None) -> None:
    if head is not None:
        tables.put_head(tx, head)
