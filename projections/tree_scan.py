"""The tree held against the log, or made again from it: every event is hashed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gatebook.projections import tree_tables as tables
from gatebook.projections.ports import Transaction
from gatebook.projections.tree import BATCH, Growth, LogUnlikeTree, Tower, TreeStore

Progress = Callable[[int, int], object]

SHOWN = 20
"""Tiles and heads that are named."""


class Scan(msgspec.Struct, frozen=True):
    """What `events` events hash to, held against what is stored.

    `heads` were compared; `wrong_heads` are sizes of those that are not of this log, `wrong_tiles`
    (level, tile) of hashes that are not what the log hashes to, both no more than some.
    """

    events: int
    root: bytes
    heads: int
    wrong_heads: list[int]
    wrong_tiles: list[tuple[int, int]]

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not self.wrong_heads and not self.wrong_tiles


class TreeRefuted(Exception):
    """The log does not hash to a head that was signed: the old tiles stay. The message says so."""


def scan(store: TreeStore, progress: Progress) -> Scan:
    """Hashes the log up to where the tree stands and compares tiles and signed heads.

    Nothing is written. In bounded memory. A live tree may grow meanwhile.
    """
    newest = tables.newest_head(store)
    size = max(tables.state(store).size, newest.size if newest is not None else 0)
    tower, compared = Tower(), 0
    wrong_heads: list[int] = []
    wrong_tiles: list[tuple[int, int]] = []
    try:
        for tower, growth in _grown(store, size, progress):
            for (level, index), hashes in growth.tiles.items():
                if tables.tile(store, level, index)[: len(hashes)] != hashes:
                    wrong_tiles.append((level, index))
            head = tables.head_of(store, tower.size)
            if head is not None:
                compared += 1
                if head.root != tower.root():
                    wrong_heads.append(head.size)
            del wrong_tiles[SHOWN:], wrong_heads[SHOWN:]
    except LogUnlikeTree:
        missed = tables.next_head(store, tower.size)
        wrong_heads.append(missed.size if missed is not None else size)
    return Scan(tower.size, tower.root(), compared, wrong_heads, wrong_tiles)


def rebuild(store: TreeStore, progress: Progress, stands: Callable[[], bool]) -> Scan:
    """Writes anew every tile that is not what the log hashes to, and lets signing go on.

    First everything is compared: raises TreeRefuted, with nothing changed, when the log does not
    hash to every head that was signed; and once the tiles are mended, when `stands` says that
    signing stopped for a head that is not of this log: an operator has to give that up by name. A
    crash leaves some tiles mended; doing it again is harmless.
    """
    found = scan(store, progress)
    if found.wrong_heads:
        raise TreeRefuted(
            f"the log does not hash to the head of {found.wrong_heads[0]} events that was signed: "
            "it was changed, cut or replaced. The tiles were left as they are; restore the log"
        )
    if found.wrong_tiles:
        for _tower, growth in _grown(store, found.events, progress):
            with store.writing() as tx:
                _mend(tx, growth)
    with store.writing() as tx:
        tables.mend_size(tx, found.events)
    if stands():
        raise TreeRefuted(
            f"the tree is what the log hashes to, and still nothing is signed: "
            f"{tables.state(store).halted}"
        )
    with store.writing() as tx:
        tables.halt(tx, None)
    return found


def _mend(tx: Transaction, growth: Growth) -> None:
    """A live tree may have put more into the last tile meanwhile: that is kept."""
    wrong = {
        (level, index): hashes + tables.tile(tx, level, index)[len(hashes) :]
        for (level, index), hashes in growth.tiles.items()
        if tables.tile(tx, level, index)[: len(hashes)] != hashes
    }
    if wrong:
        tables.put_tiles(tx, wrong)


def _grown(store: TreeStore, size: int, progress: Progress) -> Iterator[tuple[Tower, Growth]]:
    """The tower as it grows up to `size`, stopping at each head that was signed.

    Raises LogUnlikeTree at an event that is missing.
    """
    tower = Tower()
    while tower.size < size:
        head = tables.next_head(store, tower.size)
        goal = min(size, tower.size + BATCH, head.size if head is not None else size)
        rows = store.raw(tower.size, goal - tower.size, goal)
        if not rows:
            raise LogUnlikeTree(f"the log ends at {tower.size}")
        growth = tower.grow(rows)
        progress(tower.size, size)
        yield tower, growth
