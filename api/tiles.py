"""The log as C2SP tlog-tiles serves it, so that programs nobody here wrote can follow it."""

from __future__ import annotations

import re
from typing import Final

from gatebook.api.call import Call
from gatebook.api.checkpoints import newest
from gatebook.api.readings import note
from gatebook.api.reply import Reply, Text
from gatebook.domain.errors import NotFound
from gatebook.projections import tree_tables as tables
from gatebook.projections.leaf import entry_of
from gatebook.projections.merkle import HASH_SIZE
from gatebook.projections.tiles import WIDTH, parsed, width_at

OCTETS: Final = "application/octet-stream"
FOR_EVER: Final = "public, max-age=31536000, immutable"
LARGEST_ENTRY: Final = 65_535
"""Bytes: an entry's length has two of them."""

PARTS: Final = ("first", "second", "third", "fourth")
"""The names of the parts of a tile's index in a path."""

_LEVEL = re.compile(r"0|[1-9][0-9]?", re.ASCII)


def hashes(call: Call[None, None]) -> Reply:
    """GET /tlog/tile/{level}/... : the hashes of a tile, no more than a checkpoint covers."""
    level = call.path["level"]
    if _LEVEL.fullmatch(level) is None or int(level) > 63:
        raise _missing()
    tile, width = _wanted(call, int(level))
    found = tables.tile(call.house.store, int(level), tile)[: width * HASH_SIZE]
    if len(found) != width * HASH_SIZE:
        raise _missing()
    return Reply(200, Text(found, OCTETS), {"Cache-Control": FOR_EVER})


def entries(call: Call[None, None]) -> Reply:
    """GET /tlog/tile/entries/... : the leaf inputs themselves, who did what included."""
    tile, width = _wanted(call, 0)
    note(call, "feed")
    begin = tile * WIDTH
    bundle = bytearray()
    for row in call.house.store.raw(begin, width, begin + width):
        entry = entry_of(row)
        if len(entry) > LARGEST_ENTRY:
            raise NotFound(
                f"The event {row[0]} has more than {LARGEST_ENTRY} bytes, which no bundle can "
                "hold: read it at /v1/audit/events."
            )
        bundle += len(entry).to_bytes(2, "big") + entry
    return Reply(200, Text(bytes(bundle), OCTETS))


def _wanted(call: Call[None, None], level: int) -> tuple[int, int]:
    """(tile, width) of the path. Raises NotFound for what no checkpoint covers."""
    parts = [call.path[name] for name in PARTS if name in call.path]
    found = parsed("/".join(parts))
    if found is None or width_at(newest(call.house).size, level, found[0]) < found[1]:
        raise _missing()
    return found


def _missing() -> NotFound:
    return NotFound("There is no such tile in the tree of the newest checkpoint.")
