"""The shapes of signing in, of sessions, tokens and keys. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Account, Name, Password, Request
from gatebook.api.second_factor_schemas import RecoveryCode, TotpCode

Token = Annotated[str, Meta(max_length=8192)]
Secs = Annotated[int, Meta(ge=1, le=10**10)]
"""Seconds."""

# --- signing in


class Login(Request, frozen=True):
    """Name and password, and the second factor's code if one is due."""

    username: Name
    password: Password
    totp_code: TotpCode | None = None
    recovery_code: RecoveryCode | None = None


class Renewal(Request, frozen=True):
    """A refresh token, to be swapped for the next pair."""

    refresh_token: Token


class SignedIn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sign-in: an access token for `expires_in` seconds and what renews it.

    A session in a browser is in a cookie that no script can read; then there are no tokens here.
    """

    account_id: UUID
    expires_in: int
    access_token: str = ""
    token_type: str = ""
    refresh_token: str = ""
    session_id: UUID | None = None
    csrf_token: str = ""


class LoginQuery(Request, frozen=True):
    """How the session is handed over: as tokens, or as cookies to a browser."""

    session: Literal["cookie"] | None = None


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
    origin: str
    amr: list[str]
    opened_at: datetime
    renewed_at: datetime
    expires_at: datetime
    current: bool


class Me(msgspec.Struct, frozen=True):
    """Who calls, and what he may do. Roles in `held_back` wait for a second factor."""

    account: Account
    roles: list[str]
    held_back: list[str]
    permissions: list[str]
    amr: list[str]
    acr: str
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


class TokenClaims(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The claims of an access token (RFC 9068), or what an API key would claim.

    Times in seconds since the epoch; an API key need not end.
    """

    iss: str
    sub: str
    aud: str
    exp: int | None = None
    iat: int
    nbf: int
    jti: str
    client_id: str
    roles: list[str]
    scope: str = ""
    sid: str | None = None
    amr: list[str] = []
    acr: str = ""
    auth_time: int | None = None
    cnf: dict[str, str] = {}


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
    token_type: str
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
