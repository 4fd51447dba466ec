"""What stands around every event: its place in the log, its time, who did it, from where."""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

from gatebook.domain.event import Event


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who did it. `id` is an account's UUID, an operating-system user's name, or empty."""

    type: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.id}" if self.id else self.type


ANONYMOUS = Actor("anonymous")
SYSTEM = Actor("system")


def account_actor(account_id: UUID) -> Actor:
    """An account acting in its own name."""
    return Actor("account", str(account_id))


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Where a request came from: personal data, so it is sealed in the log.

    `user_agent` is a class from a closed list ("firefox", "curl", ...), never the header itself.
    """

    ip: str = ""
    user_agent: str = ""


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """The part of the envelope that all events of one append share.

    `at` is the instant the decision was made, in microseconds since the epoch.
    `causation` is the position of the event that led to this append, when one did.
    `source` is sealed, bound to the request id: under the key of the account `source_subject`, or
    under a key that belongs to nobody when that is None.
    """

    actor: Actor
    at: int
    request_id: str = ""
    causation: int | None = None
    source_subject: UUID | None = None
    source: bytes = b""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event in its stream: what the library's repository and event store pass around."""

    originator_id: UUID
    originator_version: int
    event: Event


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in the log, as projections and auditors read it.

    `recorded_at` is in microseconds since the epoch, stamped under the append lock.
    """

    position: int
    recorded_at: int
    stream_id: UUID
    version: int
    topic: str
    event: Event
    metadata: Metadata

    @property
    def id(self) -> UUID:
        """The event's own id: a UUIDv8 of its stream and version (RFC 9562, section 5.8)."""
        return uuid8(b"event", self.stream_id.bytes, self.version.to_bytes(8, "big"))


def uuid8(*parts: bytes) -> UUID:
    """A UUIDv8 (RFC 9562, section 5.8) from the SHA-256 of length-prefixed parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return uuid8_of(digest.digest())


def uuid8_of(digest: bytes) -> UUID:
    """The first 122 free bits of a digest as a UUIDv8."""
    raw = bytearray(digest[:16])
    raw[6] = 0x80 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return UUID(bytes=bytes(raw))
