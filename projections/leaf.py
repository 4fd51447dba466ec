"""What of an event goes into the tree: all of its row, as stored, in one unambiguous string."""

from __future__ import annotations

import struct
from typing import Protocol

RawRow = tuple[int, int, bytes, int, str, bytes, bytes]
"""(position, recorded_at, stream id, version, topic, metadata, payload), as stored."""

_FRONT = struct.Struct(">BQq16sQH")
_LENGTH = struct.Struct(">I")
FORMAT = 1


class RawLog(Protocol):
    """Rows of the log as stored."""

    def head(self) -> int: ...

    def raw(self, after: int, limit: int, upto: int | None = None) -> list[RawRow]:
        """Rows with `after < position <= upto`, ascending, at most `limit`."""
        ...


def entry_of(row: RawRow) -> bytes:
    """The leaf input of a row: `1 | position | recorded_at | stream id | version | topic |
    metadata | payload`, big-endian; the last three each behind its length (2, 4 and 4 bytes).
    """
    position, recorded_at, stream_id, version, topic, metadata, payload = row
    name = topic.encode()
    return b"".join(
        (
            _FRONT.pack(FORMAT, position, recorded_at, stream_id, version, len(name)),
            name,
            _LENGTH.pack(len(metadata)),
            metadata,
            _LENGTH.pack(len(payload)),
            payload,
        )
    )
