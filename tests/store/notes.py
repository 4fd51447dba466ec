"""Events that exist in the store's tests only, and how they are read."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import msgspec

from gatebook.domain.envelope import SYSTEM, Metadata
from gatebook.domain.event import Event, UnreadableEvent
from gatebook.store.batch import EncodedEvent
from gatebook.store.log import Log
from gatebook.store.opening import open_log

ENVELOPE = Metadata(SYSTEM, at=1, request_id="r-1")
METADATA = msgspec.msgpack.encode(ENVELOPE)

_envelopes = msgspec.msgpack.Decoder(Metadata)


class Noted(Event, frozen=True):
    """Something was written down."""

    TOPIC = "note.noted.1"
    STREAM = "note"

    text: str


_notes = msgspec.msgpack.Decoder(Noted)


def decode(
    topic: str,
    stream_id: UUID,
    version: int,
    payload: bytes,
    metadata: bytes,
    position: int,
    *,
    sealed: bool = False,
) -> tuple[Event, Metadata]:
    if topic != Noted.TOPIC:
        raise UnreadableEvent(position, topic, "no such topic")
    return _notes.decode(payload), _envelopes.decode(metadata)


def note(stream_id: UUID | None = None, version: int = 1, text: str = "n") -> EncodedEvent:
    event = Noted(text)
    payload = msgspec.msgpack.encode(event)
    return EncodedEvent(stream_id or uuid4(), version, Noted.TOPIC, payload, event)


def now() -> int:
    return time.time_ns() // 1000


def opened(url: str, **more: object) -> Log:
    return open_log(url, decode=decode, now=now, **more)  # type: ignore[arg-type]  # a test's own options


def put(log: Log, *events: EncodedEvent, **more: object) -> list[int]:
    """One save."""
    return log.append(events, metadata=METADATA, envelope=ENVELOPE, **more)  # type: ignore[arg-type]  # as above


def check_log(log: Log) -> int:
    """The laws of every log: positions without gaps, versions too, each event dated."""
    versions: dict[bytes, int] = {}
    position = 0
    while rows := log.raw(position, 10_000):
        for row in rows:
            position += 1
            assert position == row[0]
            assert row[1] > 0
            expected = versions[row[2]] + 1 if row[2] in versions else min(row[3], 1)
            assert expected == row[3], f"version {row[3]} of {row[2].hex()} at {position}"
            versions[row[2]] = row[3]
    assert position == log.head()
    return position
