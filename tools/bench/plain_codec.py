"""Events to bytes and back without sealing: what reading the log costs before any cryptography."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain.catalogue import BY_TOPIC
from gatebook.domain.envelope import Metadata
from gatebook.domain.event import Event, UnreadableEvent

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODERS = {topic: msgspec.msgpack.Decoder(kind) for topic, kind in BY_TOPIC.items()}
_METADATA = msgspec.msgpack.Decoder(Metadata)


def encode(event: Event | Metadata) -> bytes:
    """The bytes of an event or of an envelope."""
    return _ENCODER.encode(event)


def decode(
    topic: str,
    _stream_id: UUID,
    _version: int,
    payload: bytes,
    metadata: bytes,
    position: int,
    *,
    sealed: bool = False,
) -> tuple[Event, Metadata]:
    """An event and its envelope. Raises UnreadableEvent."""
    try:
        return _DECODERS[topic].decode(payload), _METADATA.decode(metadata)
    except (KeyError, msgspec.DecodeError) as error:
        raise UnreadableEvent(position, topic, f"{type(error).__name__}: {error}") from error
