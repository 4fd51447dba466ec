"""Who read the log. Readings are recorded too, an hour's in one, so that none calls for another."""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Actor, uuid8
from gatebook.domain.errors import Conflict
from gatebook.domain.event import Event

Kind = Literal[
    "query", "event", "feed", "history", "as-of", "explain", "diff", "replay", "simulate"
]

MAX_AN_HOUR = 200
"""Readings of one reader that are recorded apart in an hour; the rest are counted together."""


class _ReadingEvent(Event, frozen=True):
    STREAM = "audit-readings"
    CATEGORY = "audit"


class AuditRead(_ReadingEvent, frozen=True):
    """The actor read the log `count` times, from `first_at` to `last_at` (microseconds).

    `kind` is the question: "query", "event", "feed", "history", "as-of", "explain", "diff",
    "replay" or "simulate". `account_id` is whom it was about, when it was about one.
    """

    TOPIC = "audit.read.1"
    kind: str
    account_id: UUID | None
    count: int
    first_at: int
    last_at: int


class AuditExported(_ReadingEvent, frozen=True):
    """The actor began to take a copy of the log: what follows `after`, up to `upto`.

    `upto` None: and all that is still to come. `format` is "jsonl", "ocsf" or "cef".
    """

    TOPIC = "audit.exported.1"
    format: str
    after: int
    upto: int | None


Happening = AuditRead | AuditExported


class Readings(msgspec.Struct, frozen=True):
    """What one reader asked in one hour, and about whom; and how many copies he began."""

    asked: frozenset[tuple[str, UUID | None]] = frozenset()
    exports: int = 0

    def about(self, kind: Kind, account_id: UUID | None) -> UUID | None:
        """Whom a reading is recorded about: nobody any more, once he has asked about many."""
        if (kind, account_id) in self.asked or len(self.asked) < MAX_AN_HOUR:
            return account_id
        return None


def check_exports(state: Readings) -> None:
    """Raises Conflict when no more exports may begin in this hour."""
    if state.exports >= MAX_AN_HOUR:
        raise Conflict(f"{MAX_AN_HOUR} exports have begun in this hour; go on in the next one.")


def evolve(state: Readings, event: Happening) -> Readings:
    match event:
        case AuditRead(kind=kind, account_id=account_id):
            return msgspec.structs.replace(state, asked=state.asked | {(kind, account_id)})
        case AuditExported():
            return msgspec.structs.replace(state, exports=state.exports + 1)
        case _:
            assert_never(event)


def stream_id(reader: Actor, hour: int) -> UUID:
    """One stream a reader and hour, so that none grows without bound."""
    return uuid8(b"audit-readings", str(reader).encode(), hour.to_bytes(8, "big"))
