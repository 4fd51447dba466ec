"""Events to stored bytes and back: a closed table of topics, sealing, upcasting.

A row can name no code: a topic that is not in the table is an unreadable event. Personal and secret
fields are sealed under the subject's key, bound to stream, version, topic and field; once that key
is destroyed they read as None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, get_type_hints
from uuid import UUID

import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, Notification, StoredEvent

from gatebook.domain.catalogue import EVENTS, UPCASTERS
from gatebook.domain.envelope import Actor, Entry, Metadata
from gatebook.domain.event import Event, UnreadableEvent
from gatebook.store.batch import EncodedEvent
from gatebook.store.master_key import KeyringDamaged

ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")


class StoredMetadata(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The envelope as stored. Ids that are UUIDs stand as their 16 bytes, others as text."""

    actor_type: str
    actor_id: Any  # bytes or str, which msgspec has no union for
    at: int
    request_id: Any
    causation: int | None
    source_subject: bytes | None
    source: bytes


_ANY = UUID(int=0)
"""Stands for a stream whose id no key is looked up by."""

_METADATA = msgspec.msgpack.Decoder(StoredMetadata)


class Sealing(Protocol):
    """What the mapper needs of the keyring."""

    def seal(self, name: str, plaintext: bytes, associated: bytes) -> bytes: ...

    def open(self, name: str, sealed: bytes, associated: bytes) -> bytes | None: ...

    def create_named(self, name: str) -> None: ...


class Shape:
    """How one topic is stored."""

    def __init__(self, kind: type[Event]) -> None:
        self.kind = kind
        self.sealed = kind.PERSONAL or kind.SECRET
        if self.sealed is None:
            self.decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)
            return
        hints = get_type_hints(kind)
        names = [field.name for field in msgspec.structs.fields(kind)]
        self.place = names.index(self.sealed)
        types = [bytes if name == self.sealed else hints[name] for name in names]
        self.decoder = msgspec.msgpack.Decoder(tuple[tuple(types)])  # type: ignore[misc]  # made at run time
        self.inner = msgspec.msgpack.Decoder(hints[self.sealed])


class EventMapper(Mapper[UUID]):
    """The library's mapper, over our closed table."""

    def __init__(
        self,
        keys: Sealing,
        events: Sequence[type[Event]] = EVENTS,
        upcasters: Mapping[type[Event], Callable[[Any], Event]] = UPCASTERS,
    ) -> None:
        super().__init__(transcoder=JSONTranscoder())
        self._keys = keys
        self._shapes = {kind.TOPIC: Shape(kind) for kind in events}
        self._upcasters = dict(upcasters)

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Encodes an Entry. A retired topic is never written again."""
        entry = cast("Entry", domain_event)
        event = entry.event
        shape = self._shapes[event.TOPIC]
        if type(event) in self._upcasters:
            raise TypeError(f"{event.TOPIC} is retired; write the shape that followed it")
        payload = ENCODER.encode(event) if shape.sealed is None else self._sealed(shape, entry)
        return EncodedEvent(
            entry.originator_id, entry.originator_version, event.TOPIC, payload, event
        )

    def encode_metadata(self, metadata: Metadata) -> bytes:
        """The envelope's stored bytes."""
        subject = metadata.source_subject
        return ENCODER.encode(
            StoredMetadata(
                metadata.actor.type,
                _compact(metadata.actor.id),
                metadata.at,
                _compact(metadata.request_id),
                metadata.causation,
                None if subject is None else subject.bytes,
                metadata.source,
            )
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Decodes into an Entry. Raises UnreadableEvent."""
        position = stored_event.id if isinstance(stored_event, Notification) else 0
        stream_id = cast("UUID", stored_event.originator_id)
        event = self._event(
            stored_event.topic,
            stream_id,
            stored_event.originator_version,
            stored_event.state,
            position,
        )
        return Entry(stream_id, stored_event.originator_version, event)

    def decode(
        self,
        topic: str,
        stream_id: UUID,
        version: int,
        payload: bytes,
        metadata: bytes,
        position: int,
        *,
        sealed: bool = False,
    ) -> tuple[Event, Metadata]:
        """A stored row's event and envelope; with `sealed` nothing is opened.

        Raises UnreadableEvent.
        """
        event = self._event(topic, stream_id, version, payload, position, sealed=sealed)
        try:
            return event, _metadata(_METADATA.decode(metadata))
        except (msgspec.DecodeError, ValueError) as error:
            raise UnreadableEvent(position, topic, f"its envelope: {error}") from error

    def closed(self, topic: str, payload: bytes, position: int) -> Event:
        """A stored row's event, what is sealed left out. Raises UnreadableEvent."""
        return self._event(topic, _ANY, 0, payload, position, sealed=True)

    def decided_at(self, metadata: bytes, position: int, topic: str) -> int:
        """When a stored row's event was decided, in microseconds. Raises UnreadableEvent."""
        try:
            return _METADATA.decode(metadata).at
        except msgspec.DecodeError as error:
            raise UnreadableEvent(position, topic, f"its envelope: {error}") from error

    def _event(
        self,
        topic: str,
        stream_id: UUID,
        version: int,
        payload: bytes,
        position: int,
        *,
        sealed: bool = False,
    ) -> Event:
        shape = self._shapes.get(topic)
        if shape is None:
            raise UnreadableEvent(
                position, topic, "this program does not know the topic; a newer one wrote it"
            )
        try:
            event: Event = (
                shape.decoder.decode(payload)
                if shape.sealed is None
                else self._opened(shape, stream_id, version, payload, sealed=sealed)
            )
        except (msgspec.MsgspecError, KeyringDamaged, ValueError, TypeError) as error:
            # A keyring that cannot be reached is no fault of the event, and passes through.
            raise UnreadableEvent(position, topic, str(error)) from error
        while (upcast := self._upcasters.get(type(event))) is not None:
            event = upcast(event)
        return event

    def _sealed(self, shape: Shape, entry: Entry) -> bytes:
        if entry.originator_version < 1:
            raise TypeError(f"{entry.event.TOPIC} is sealed to its version, so it needs one")
        values: list[Any] = list(msgspec.structs.astuple(entry.event))
        name = entry.event.key_name(entry.originator_id)
        if not name.startswith("subject:"):
            self._keys.create_named(name)
        bound = _bound(entry.originator_id, entry.originator_version, shape)
        values[shape.place] = self._keys.seal(name, ENCODER.encode(values[shape.place]), bound)
        return ENCODER.encode(values)

    def _opened(
        self, shape: Shape, stream_id: UUID, version: int, payload: bytes, *, sealed: bool
    ) -> Event:
        values = list(shape.decoder.decode(payload))
        closed, values[shape.place] = values[shape.place], None
        hidden = shape.kind(*values)
        if sealed:
            return hidden
        opened = self._keys.open(
            hidden.key_name(stream_id), closed, _bound(stream_id, version, shape)
        )
        if opened is None:
            return hidden
        values[shape.place] = shape.inner.decode(opened)
        return shape.kind(*values)


def _compact(text: str) -> bytes | str:
    """A UUID in its canonical form as bytes; anything else as it is."""
    if len(text) != 36:
        return text
    try:
        parsed = UUID(text)
    except ValueError:
        return text
    return parsed.bytes if str(parsed) == text else text


def _text(compact: object) -> str:
    if isinstance(compact, bytes):
        # As str(UUID(bytes=...)) says it, in a quarter of the time: every event has two of these.
        text = compact.hex()
        if len(text) != 32:
            raise ValueError("an id is not 16 bytes long")
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    if not isinstance(compact, str):
        raise ValueError("an id is neither bytes nor text")
    return compact


def _metadata(stored: StoredMetadata) -> Metadata:
    subject = stored.source_subject
    return Metadata(
        actor=Actor(stored.actor_type, _text(stored.actor_id)),
        at=stored.at,
        request_id=_text(stored.request_id),
        causation=stored.causation,
        source_subject=None if subject is None else UUID(bytes=subject),
        source=stored.source,
    )


def _bound(stream_id: UUID, version: int, shape: Shape) -> bytes:
    where = f"|{version}|{shape.kind.TOPIC}|{shape.sealed}"
    return stream_id.bytes + where.encode()
