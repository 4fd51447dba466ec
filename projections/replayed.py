"""What a replay keeps of each thing that lives. Times in microseconds."""

from __future__ import annotations

from typing import Any

import msgspec

from gatebook.domain import account, api_key, attempts, session, token


class Line(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands: place, stream (its 16 bytes), version, when it was decided."""

    position: int
    stream_id: bytes
    version: int
    at: int


class HeldAccount(msgspec.Struct):
    """An account. `profile_at` is the position of the event that holds its profile."""

    state: account.Account
    version: int
    profile_at: int
    erased: bool = False


class HeldSession(msgspec.Struct):
    """A session that was not ended. `revoked`: its access token was, by its jti."""

    state: session.Session
    opened_at: int
    renewed_at: int
    revoked: bool = False


class HeldToken(msgspec.Struct):
    """A token outside a session that was not revoked."""

    issued: token.TokenIssued
    issued_at: int


class HeldCounter(msgspec.Struct):
    """A counter of failures above zero."""

    state: attempts.Attempts
    last: attempts.Failed


class HeldKey(msgspec.Struct):
    """An API key that was not revoked. `position` is the event that holds its name."""

    state: api_key.ApiKey
    position: int
    created_at: int


class HeldCredential(msgspec.Struct):
    """A credential by its kind. `detail` is a word of its kind's own."""

    kind: str
    created_at: int
    expires_at: int | None = None
    detail: str | None = None


class HeldBreakGlass(msgspec.Struct):
    """A break-glass credential."""

    set_at: int
    expires_at: int | None
    once: bool
    last_used_at: int | None = None


class Configured(msgspec.Struct):
    """A provider, a mapping or an identity, and when it came to be and was changed."""

    state: Any
    created_at: int
    changed_at: int
