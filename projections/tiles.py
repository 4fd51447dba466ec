"""Tiles: where the hashes of complete subtrees lie, and the paths they are served under.

As C2SP tlog-tiles has it: entry i of tile N at level L is the root of the complete subtree of
256**L leaves with the number N * 256 + i.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gatebook.projections.merkle import HASH_SIZE, node_hash

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes of a full tile."""

LARGEST: Final = 10**9 - 1
"""The largest index of a tile that is served: at level 0 that is an event beyond 10**11."""

Fetch = Callable[[int, int], bytes]
"""(level, tile) -> its hashes, one behind the other, as many as there are."""

_INDEX = re.compile(r"(?:x[0-9]{3}/)*[0-9]{3}", re.ASCII)
_WIDTH = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class TilesDamaged(Exception):
    """A tile is missing or too short, though the tree is larger than that."""


class Subtrees:
    """Hashes of complete subtrees out of tiles. Each tile is fetched once; for one question."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._known: dict[tuple[int, int], bytes] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """See `merkle.Subtree`. Raises TilesDamaged."""
        known = self._known.get((height, index))
        if known is None:
            level, above = divmod(height, HEIGHT)
            first = index << above
            known = self._folded(level, first, 1 << above)
            self._known[height, index] = known
        return known

    def _folded(self, level: int, first: int, count: int) -> bytes:
        """The root over `count` hashes, a power of two, that lie in one tile."""
        tile, begin = divmod(first, WIDTH)
        hashes = self._hashes(level, tile)
        row = [hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE] for at in range(begin, begin + count)]
        if len(row[-1]) != HASH_SIZE:
            raise TilesDamaged(f"tile {tile} of level {level} is too short")
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    def _hashes(self, level: int, tile: int) -> bytes:
        found = self._tiles.get((level, tile))
        if found is None:
            found = self._tiles[level, tile] = self._fetch(level, tile)
        return found


def width_at(size: int, level: int, tile: int) -> int:
    """How many hashes the tile has in a tree of that size: 0 when it is not there, at most 256."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - tile * WIDTH))


def path_of(tile: int, width: int = WIDTH) -> str:
    """A tile's index as it stands in a path: `x001/x234/067`, a partial one's with `.p/<width>`."""
    parts = [f"{tile % 1000:03}"]
    while tile := tile // 1000:
        parts.insert(0, f"x{tile % 1000:03}")
    return "/".join(parts) + ("" if width == WIDTH else f".p/{width}")


def parsed(path: str) -> tuple[int, int] | None:
    """(tile, width) of such a path; None for anything that `path_of` does not make."""
    index, partial, wanted = path.partition(".p/")
    width = WIDTH
    if partial:
        if _WIDTH.fullmatch(wanted) is None or not 0 < int(wanted) < WIDTH:
            return None
        width = int(wanted)
    if len(index) > 60 or _INDEX.fullmatch(index) is None:
        return None
    tile = int(index.replace("x", "").replace("/", ""))
    return (tile, width) if tile <= LARGEST and path_of(tile, width) == path else None
