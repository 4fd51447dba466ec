"""Who read the log. Readings are recorded too, an hour's in one, so that none calls for another."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain.envelope import Actor, uuid8
from gatebook.domain.event import Event

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


def stream_id(reader: Actor, hour: int) -> UUID:
    """One stream a reader and hour, so that none grows without bound."""
    return uuid8(b"audit-readings", str(reader).encode(), hour.to_bytes(8, "big"))
