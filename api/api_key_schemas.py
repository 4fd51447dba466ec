"""The shapes of API keys and OAuth 2 clients. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Instant, Line, Request

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]
SECRETS: tuple[AuthMethod, ...] = ("client_secret_basic", "client_secret_post")
Scope = Annotated[str, Meta(max_length=1000)]
Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=50)]
Uris = Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=50)]


class NewApiKey(Request, frozen=True):
    """A key to be made. `scope`: the permissions it is narrowed to, a space between."""

    name: Line = ""
    scope: Scope = ""
    expires_at: Instant | None = None


class KeyRotation(Request, frozen=True):
    """`overlap`: seconds for which the old key counts beside the new one."""

    overlap: Annotated[int, Meta(ge=0, le=604_800)] = 0


class MintedApiKey(msgspec.Struct, frozen=True):
    """A key, shown once. `replaces` is the key that it follows."""

    id: UUID
    key: str
    account_id: UUID
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    replaces: UUID | None


class ApiKey(msgspec.Struct, frozen=True):
    """A key that counts now. `last_used_at` is exact to a minute; `successor` follows it."""

    id: UUID
    account_id: UUID
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    successor: UUID | None


class JwkSet(Request, frozen=True):
    """A JWK set (RFC 7517): public P-256, Ed25519 and RSA keys."""

    keys: Annotated[list[dict[str, Any]], Meta(max_length=10)] = msgspec.field(default_factory=list)


class ClientBody(Request, frozen=True):
    """How a system account may act as an OAuth 2 client.

    `scopes` are those it may ask for, `resources` the audiences (RFC 8707).
    """

    jwks: JwkSet = JwkSet()
    auth_methods: Annotated[list[AuthMethod], Meta(min_length=1, max_length=3)] = msgspec.field(
        default_factory=lambda: [*SECRETS]
    )
    scopes: Names = msgspec.field(default_factory=list)
    resources: Uris = msgspec.field(default_factory=list)
    dpop_bound_access_tokens: bool = False


class Client(msgspec.Struct, frozen=True):
    """An OAuth 2 client. `configured`: false when nothing was set, and the defaults hold."""

    client_id: UUID
    configured: bool
    jwks: dict[str, Any]
    auth_methods: list[str]
    scopes: list[str]
    resources: list[str]
    dpop_bound_access_tokens: bool
