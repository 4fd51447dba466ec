"""The log as JSON lines: each event as the API shows it, with its leaf hash in the Merkle tree.

A batch ends in `{"checkpoint": NOTE}`: the signed head of exactly the events up to there.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gatebook.store.checkpoints import NoteRefused, parse

_encode = msgspec.json.Encoder().encode


def event_line(event: dict[str, Any], leaf_hash: str) -> str:
    """An event."""
    return _encode({**event, "leaf_hash": leaf_hash}).decode()


def checkpoint_line(note: str, _recorded_at: str) -> str:
    """The end of a batch."""
    return _encode({"checkpoint": note}).decode()


def place_of(line: str) -> tuple[int, bool]:
    """Up to where the log is exported with this line, and whether it ends a batch.

    Raises ValueError for any other line.
    """
    try:
        found = msgspec.json.decode(line)
        if "checkpoint" in found:
            return parse(found["checkpoint"])[0].size, True
        return int(found["position"]), False
    except (msgspec.DecodeError, NoteRefused, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
