"""An API key: a long secret that an account presents by itself, and an OAuth 2 client as its own.

The key that is shown once is `gbk_<id>_<secret>`: 32 hexadecimal digits of its stream's id, and 32
random bytes in base64url. Only the SHA-256 of the secret is kept; with 256 bits nobody guesses it,
so it needs neither salt nor a slow hash.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import Conflict
from gatebook.domain.event import Event

SECRET_BYTES = 32
_KEY = re.compile(r"gbk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)

# --- events


class ApiKeyMaterial(msgspec.Struct, frozen=True, array_like=True):
    """The SHA-256 of the secret, and what its owner calls the key."""

    digest: bytes
    name: str


class _ApiKeyEvent(Event, frozen=True):
    STREAM = "api-key"
    CATEGORY = "credential"
    account_id: UUID


class ApiKeyCreated(_ApiKeyEvent, frozen=True):
    """The key counts until `expires_at` (microseconds; None: no end).

    `scope`, when it is not empty, names the permissions it is narrowed to, a space between.
    `replaces` is the key that this one was made to follow.
    """

    TOPIC = "api_key.created.1"
    SECRET = "secret"  # noqa: S105 - the name of a field
    secret: ApiKeyMaterial | None
    scope: str
    expires_at: int | None
    replaces: UUID | None = None


class ApiKeyRotated(_ApiKeyEvent, frozen=True):
    """Another key follows this one, which ends at `expires_at` (microseconds)."""

    TOPIC = "api_key.rotated.1"
    successor: UUID
    expires_at: int


class ApiKeyRevoked(_ApiKeyEvent, frozen=True):
    """The key is refused from here on."""

    TOPIC = "api_key.revoked.1"


Happening = ApiKeyCreated | ApiKeyRotated | ApiKeyRevoked

# --- state


class ApiKey(msgspec.Struct, frozen=True):
    """As much of the past as `rotate` and `revoke` need."""

    account_id: UUID | None = None
    name: str = ""
    scope: str = ""
    expires_at: int | None = None
    successor: UUID | None = None
    revoked: bool = False

    def live(self, at: int) -> bool:
        """Whether it counts at an instant, as far as it depends on the key."""
        ended = self.expires_at is not None and self.expires_at <= at
        return self.account_id is not None and not self.revoked and not ended


# --- the key as it is shown


def text(key_id: UUID, secret: bytes) -> str:
    """The key, to be shown once."""
    return f"gbk_{key_id.hex}_{urlsafe_b64encode(secret).rstrip(b'=').decode()}"


def parse(presented: str) -> tuple[UUID, bytes] | None:
    """(id, SHA-256 of the secret) of what has the form of a key; None for anything else.

    The secret's characters are hashed as they stand, so no other spelling of them is accepted.
    """
    found = _KEY.fullmatch(presented)
    if found is None:
        return None
    return UUID(hex=found[1]), digest_of(found[2])


def digest_of(secret: str) -> bytes:
    """What is kept of the secret part of a key."""
    return hashlib.sha256(secret.encode()).digest()


# --- decisions


class Order(msgspec.Struct, frozen=True):
    """A key to be made."""

    account_id: UUID
    digest: bytes
    name: str
    scope: str
    expires_at: int | None
    replaces: UUID | None = None


def create(order: Order) -> list[Happening]:
    """Makes a key."""
    return [
        ApiKeyCreated(
            account_id=order.account_id,
            secret=ApiKeyMaterial(order.digest, order.name),
            scope=order.scope,
            expires_at=order.expires_at,
            replaces=order.replaces,
        )
    ]


def rotate(successor: UUID, ends_at: int, at: int, state: ApiKey) -> list[Happening]:
    """Lets a key end at an instant, or at its own end if that is before.

    Raises Conflict for one that does not count any more, or that another follows already.
    """
    if state.account_id is None or not state.live(at):
        raise Conflict("The API key does not count any more.")
    if state.successor is not None:
        raise Conflict("Another API key follows this one already; rotate that one.")
    end = ends_at if state.expires_at is None else min(ends_at, state.expires_at)
    return [ApiKeyRotated(account_id=state.account_id, successor=successor, expires_at=end)]


def revoke(state: ApiKey) -> list[Happening]:
    """Revokes, once."""
    if state.account_id is None or state.revoked:
        return []
    return [ApiKeyRevoked(account_id=state.account_id)]


def evolve(state: ApiKey, event: Happening) -> ApiKey:
    """The state after an event."""
    replace = msgspec.structs.replace
    match event:
        case ApiKeyCreated():
            return ApiKey(
                account_id=event.account_id,
                name=event.secret.name if event.secret is not None else "",
                scope=event.scope,
                expires_at=event.expires_at,
            )
        case ApiKeyRotated(successor=successor, expires_at=expires_at):
            return replace(state, successor=successor, expires_at=expires_at)
        case ApiKeyRevoked():
            return replace(state, revoked=True)
        case _:
            assert_never(event)
