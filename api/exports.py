"""Copies of the log: that one is taken is recorded before the first event of it is read."""

from __future__ import annotations

from typing import Literal

import msgspec

from gatebook.api.call import Call
from gatebook.api.checkpoints import newest
from gatebook.api.reply import Reply
from gatebook.api.schemas import Position, Request
from gatebook.domain.errors import InvalidValue
from gatebook.domain.readings import AuditExported

Format = Literal["jsonl", "ocsf", "cef"]


class Export(Request, frozen=True):
    """What follows `after`; with `follow` also all that is still to come."""

    format: Format
    after: Position = 0
    follow: bool = False


class Begun(msgspec.Struct, frozen=True):
    """What the copy holds: up to `upto`, null when it is followed.

    `checkpoint` is the newest signed head, a C2SP note: the first batch ends there. The leaf
    hashes of its events are in the tiles of level 0.
    """

    format: Format
    after: int
    upto: int | None
    checkpoint: str


def begin(call: Call[Export, None]) -> Reply:
    """POST /v1/audit/exports"""
    body, head = call.body, newest(call.house)
    if body.after > head.size:
        raise InvalidValue(f"The newest checkpoint has {head.size} events.", "/after")
    upto = None if body.follow else head.size
    event = AuditExported(format=body.format, after=body.after, upto=upto)
    begun = Begun(body.format, body.after, upto, head.note)
    return call.command(
        lambda by: call.house.readings.export(by, event), lambda _: Reply(201, begun)
    )
