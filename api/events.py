"""An event as it is shown to those who may read the log."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from gatebook.api.decoding import instant
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import subject_of
from gatebook.store.house import House

TIMES: Final = frozenset(
    {
        "auth_time",
        "before",
        "expires_at",
        "failed_at",
        "first_at",
        "last_at",
        "locked_until",
        "signs_from",
    }
)
"""Fields of events that hold microseconds since the epoch."""

DURATIONS: Final = frozenset(
    {
        "access_lifetime",
        "break_glass_expires_after",
        "clock_skew",
        "duration",
        "iat_window",
        "idle",
        "refresh_lifetime",
        "reset",
        "session_absolute",
        "session_idle",
        "system_lifetime_max",
    }
)
"""Fields of events that hold a duration in microseconds; shown in seconds."""


class StreamRef(msgspec.Struct, frozen=True):
    """Whose event it is, and which of its events."""

    type: str
    id: UUID
    version: int


class ActorRef(msgspec.Struct, frozen=True):
    """Who did it."""

    type: str
    id: str


class SourceRef(msgspec.Struct, frozen=True):
    """From where."""

    ip: str
    user_agent: str


class Event(msgspec.Struct, frozen=True):
    """An event of the log. `source` is null when there was none, or it is erased."""

    position: int
    id: UUID
    type: str
    category: str
    recorded_at: datetime
    stream: StreamRef
    actor: ActorRef
    account_id: UUID | None
    request_id: str | None
    source: SourceRef | None
    data: dict[str, Any]


def event_of(house: House, recorded: Recorded) -> Event:
    """A recorded event as it is shown: personal fields opened, secret ones left out."""
    event, envelope = recorded.event, recorded.metadata
    source = house.source_of(recorded)
    return Event(
        position=recorded.position,
        id=recorded.id,
        type=event.type,
        category=event.CATEGORY,
        recorded_at=instant(recorded.recorded_at),
        stream=StreamRef(event.STREAM, recorded.stream_id, recorded.version),
        actor=ActorRef(envelope.actor.type, envelope.actor.id),
        account_id=subject_of(event, recorded.stream_id),
        request_id=envelope.request_id or None,
        source=SourceRef(source.ip, source.user_agent) if source is not None else None,
        data=members(event, without=event.SECRET),
    )


def members(struct: msgspec.Struct, without: str | None = None) -> dict[str, Any]:
    """The fields of an event, or of what is in one, as they are shown; all but one."""
    return {
        name: shown_as(name, getattr(struct, name))
        for name in struct.__struct_fields__
        if name != without
    }


def shown_as(name: str, value: Any) -> Any:
    """A value as it is shown under a name: times as such, durations in seconds, bytes as text."""
    match value:
        case bool():
            return value
        case int() if name in TIMES:
            return instant(value)
        case int() if name in DURATIONS:
            return value // 1_000_000
        case bytes():
            return urlsafe_b64encode(value).rstrip(b"=").decode()
        case msgspec.Struct():
            return members(value)
        case list() | tuple():
            return [shown_as(name, one) for one in value]
        case _:
            return value
