"""The tables of the access read model."""

from __future__ import annotations

from typing import Final

from gatebook.projections.tables import Column, Table

ACCOUNTS: Final = Table(
    "access_accounts",
    (
        Column("account_id", "bytes"),
        Column("profile_at", "integer"),
        Column("kind", "text"),
        Column("status", "text"),
        Column("epoch", "integer"),
        Column("version", "integer"),
    ),
    key=("account_id",),
)


GRANTS: Final = Table(
    "access_grants",
    (
        Column("account_id", "bytes"),
        Column("role", "text"),
        Column("generation", "integer"),
        Column("expires_at", "integer", null=True),
    ),
    key=("account_id", "role"),
    indexes=(("role",),),
)


ROLES: Final = Table(
    "access_roles",
    (
        Column("role", "text"),
        Column("generation", "integer"),
        Column("permissions", "text"),
        Column("description", "text"),
        Column("built_in", "integer"),
    ),
    key=("role",),
)


SESSIONS: Final = Table(
    "access_sessions",
    (
        Column("session_id", "bytes"),
        Column("account_id", "bytes"),
        Column("epoch", "integer"),
        Column("origin", "text"),
        Column("amr", "text"),
        Column("acr", "text"),
        Column("auth_time", "integer"),
        Column("opened_at", "integer"),
        Column("renewed_at", "integer"),
        Column("expires_at", "integer"),
        Column("idle", "integer", null=True),
        Column("jkt", "text"),
        Column("jti", "bytes", null=True),
        Column("kid", "text"),
        Column("access_expires_at", "integer"),
    ),
    key=("session_id",),
    indexes=(("jti",), ("account_id",)),
)


TOKENS: Final = Table(
    "access_tokens",
    (
        Column("jti", "bytes"),
        Column("account_id", "bytes"),
        Column("epoch", "integer"),
        Column("kid", "text"),
        Column("issued_at", "integer"),
        Column("expires_at", "integer"),
        Column("audience", "text"),
        Column("scope", "text"),
        Column("jkt", "text"),
    ),
    key=("jti",),
    indexes=(("account_id",),),
)


ATTEMPTS: Final = Table(
    "access_attempts",
    (
        Column("stream_id", "bytes"),
        Column("account_id", "bytes"),
        Column("method", "text"),
        Column("scope", "text"),
        Column("failures", "integer"),
        Column("failed_at", "integer"),
        Column("locked_until", "integer", null=True),
    ),
    key=("stream_id",),
    indexes=(("account_id",),),
)


ERASURES: Final = Table("access_erasures", (Column("account_id", "bytes"),), key=("account_id",))


KEYS: Final = Table(
    "access_keys",
    (
        Column("kid", "text"),
        Column("algorithm", "text"),
        Column("public_jwk", "text"),
        Column("created_at", "integer"),
        Column("signs_from", "integer", null=True),
        Column("retired", "integer"),
    ),
    key=("kid",),
)
