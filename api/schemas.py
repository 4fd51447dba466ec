"""The shapes of requests and answers, as the contract has them. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

Instant = Annotated[datetime, Meta(tz=True)]
Password = Annotated[str, Meta(max_length=4096)]
Name = Annotated[str, Meta(max_length=1024)]
Line = Annotated[str, Meta(max_length=1024)]
Token = Annotated[str, Meta(max_length=8192)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Position = Annotated[int, Meta(ge=0, le=2**62)]
Cursor = Annotated[str, Meta(min_length=1, max_length=512)]
Secs = Annotated[int, Meta(ge=1, le=10**10)]
"""Seconds."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query: closed."""


class Nothing(Request, frozen=True):
    """A body without members, or no body at all."""


class Paging(Request, frozen=True, kw_only=True):
    """Which part of a list."""

    limit: Limit = 50
    after: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; `next` goes on behind it, null at the end."""

    items: list[T]
    next: str | None


# --- meta


class Health(msgspec.Struct, frozen=True):
    """The process serves."""

    status: Literal["ok"]


class Standing(msgspec.Struct, frozen=True):
    """How a read model stands. `lag` is in events."""

    name: str
    status: str
    position: int
    lag: int


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be served, and what is not as it should be."""

    status: Literal["ready", "not-ready"]
    position: int
    projections: list[Standing]
    problems: list[str]


class Metadata(msgspec.Struct, frozen=True):
    """Authorization server metadata (RFC 8414): what works here, and no more."""

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    access_token_signing_alg_values_supported: list[str]


# --- accounts


class Account(msgspec.Struct, frozen=True):
    """An account. What was erased is null."""

    id: UUID
    username: str | None
    type: str
    status: str
    display_name: str | None
    email: str | None
    roles: list[str]
    created_at: datetime
    updated_at: datetime
    version: int


class NewAccount(Request, frozen=True):
    """An account to be."""

    username: Name
    type: Literal["human", "system"]
    display_name: Line = ""
    email: Line = ""
    password: Password | None = None


class AccountChanges(Request, frozen=True):
    """What is to change; what is not named stays. An empty string clears."""

    username: Name | UnsetType = UNSET
    display_name: Line | UnsetType = UNSET
    email: Line | UnsetType = UNSET
    status: Literal["active", "inactive"] | UnsetType = UNSET


class AccountQuery(Paging, frozen=True, kw_only=True):
    """Which accounts. `q`: part of a name or an e-mail."""

    status: Literal["active", "inactive", "deleted"] | None = None
    type: Literal["human", "system"] | None = None
    role: Annotated[str, Meta(max_length=63)] | None = None
    q: Annotated[str, Meta(max_length=200)] | None = None


class AsOf(Request, frozen=True):
    """A place in the past: a time, or a position of the log."""

    at: Instant | None = None
    position: Annotated[int, Meta(ge=1, le=2**62)] | None = None


class Erasure(Request, frozen=True):
    """`confirm` is the account's username."""

    confirm: Name


class NewPassword(Request, frozen=True):
    """A password for another's account."""

    password: Password


class HistoryEntry(msgspec.Struct, frozen=True):
    """Something that happened to the account, in plain words."""

    position: int
    at: datetime
    type: str
    text: str
    actor: str


# --- roles


class RoleBody(Request, frozen=True):
    """What a role is to stand for."""

    permissions: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)]
    description: Annotated[str, Meta(max_length=500)] = ""


class Role(msgspec.Struct, frozen=True):
    """A role and what it stands for."""

    name: str
    permissions: list[str]
    description: str
    built_in: bool


class Permission(msgspec.Struct, frozen=True):
    """A permission with a line about it."""

    name: str
    description: str


class Grant(msgspec.Struct, frozen=True):
    """A role that an account holds, until `expires_at` if that is set."""

    role: str
    expires_at: datetime | None


class GrantQuery(Request, frozen=True):
    """Until when the grant is to last."""

    expires_at: Instant | None = None


# --- signing in


class Login(Request, frozen=True):
    """Name and password."""

    username: Name
    password: Password


class Renewal(Request, frozen=True):
    """A refresh token, to be swapped for the next pair."""

    refresh_token: Token


class Pair(msgspec.Struct, frozen=True):
    """An access token for `expires_in` seconds, and what renews it."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    account_id: UUID


class LogoutQuery(Request, frozen=True):
    """Whether every session of the account ends."""

    all: bool = False


class PasswordChange(Request, frozen=True):
    """One's own password, the old one and the new."""

    current_password: Password
    new_password: Password


class Session(msgspec.Struct, frozen=True):
    """A session that counts now."""

    id: UUID
    amr: list[str]
    opened_at: datetime
    renewed_at: datetime
    expires_at: datetime
    current: bool


class Me(msgspec.Struct, frozen=True):
    """Who calls, and what he may do."""

    account: Account
    roles: list[str]
    permissions: list[str]
    amr: list[str]
    sessions: list[Session]


class CheckQuery(Request, frozen=True):
    """What the caller must hold."""

    permission: Annotated[str, Meta(max_length=100)] | None = None
    role: Annotated[str, Meta(max_length=100)] | None = None


class BootstrapState(msgspec.Struct, frozen=True):
    """Whether the first administrator is still to come."""

    available: bool


class BootstrapBody(Request, frozen=True):
    """The one-time token, and the first administrator's name and password."""

    token: Annotated[str, Meta(max_length=1024)]
    username: Name
    password: Password


# --- tokens and keys


class Presented(Request, frozen=True):
    """A token to look at."""

    token: str


class TokenAccount(msgspec.Struct, frozen=True):
    """Whose token it is, with the roles in force now."""

    id: UUID
    username: str | None
    roles: list[str]


class TokenClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an access token (RFC 9068). Times in seconds since the epoch."""

    iss: str
    sub: str
    aud: str
    exp: int
    iat: int
    nbf: int
    jti: str
    client_id: str
    roles: list[str]
    scope: str = ""
    sid: str | None = None
    amr: list[str] = []
    auth_time: int | None = None


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the token counts now; if it does, what it says and whose it is."""

    valid: bool
    claims: TokenClaims | None = None
    account: TokenAccount | None = None


class TokenOrder(Request, frozen=True):
    """A token for a system account. `expires_in` in seconds."""

    account_id: UUID
    expires_in: Secs | None = None
    scope: Annotated[str, Meta(max_length=1000)] = ""
    audience: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class Issued(msgspec.Struct, frozen=True):
    """A token, shown once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    jti: UUID
    account_id: UUID


class ListedToken(msgspec.Struct, frozen=True):
    """A token that counts now. `session_id` is null for one minted outside a session."""

    jti: UUID
    session_id: UUID | None
    kid: str
    issued_at: datetime
    expires_at: datetime
    audience: str
    scope: str


class KeyOrder(Request, frozen=True):
    """A signing key to make; without an algorithm, the configured one."""

    algorithm: Literal["ES256", "EdDSA", "RS256"] | None = None


class Rotation(KeyOrder, frozen=True):
    """`lead`: seconds for which the new key is published before it signs."""

    lead: Annotated[int, Meta(ge=0, le=86_400)] = 300


class SigningKey(msgspec.Struct, frozen=True):
    """A signing key; its public half is a JWK (RFC 7517)."""

    kid: str
    algorithm: str
    status: str
    signs_from: datetime | None
    public_jwk: dict[str, str]


class KeySet(msgspec.Struct, frozen=True):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]]
