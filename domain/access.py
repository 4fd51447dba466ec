"""What decides access and federated sign-ins, as questions that the read models answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec


class LiveAccount(msgspec.Struct, frozen=True):
    """An account as access decisions see it now."""

    account_id: UUID
    username: str | None
    kind: str
    status: str
    epoch: int
    version: int
    roles: list[str]
    permissions: frozenset[str]


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and what he may do now: what he presented counts, and so does his account.

    `id` is that of what he presented: an access token's jti, a session (its cookie) or an API key.
    `scope` narrows the permissions when it is not empty. `jkt` names the key that a proof of
    possession is due for. Times in microseconds.
    """

    kind: Literal["token", "session", "api-key", "local"]
    id: UUID
    account_id: UUID
    username: str | None
    account_kind: str
    session_id: UUID | None
    epoch: int
    roles: list[str]
    permissions: frozenset[str]
    amr: list[str]
    acr: str
    auth_time: int | None
    expires_at: int | None
    kid: str
    audience: str
    scope: str
    jkt: str
    origin: str
    opened_at: int
    idle: int | None


class HeldCredential(msgspec.Struct, frozen=True):
    """A credential that an account has, by the id of its stream. Times in microseconds."""

    credential_id: UUID
    account_id: UUID
    kind: str
    created_at: int
    expires_at: int | None
    detail: str | None


class Access(Protocol):
    """What decides access: written in the append's own transaction, so never stale."""

    def account(self, account_id: UUID, at: int) -> LiveAccount | None: ...

    def caller(self, kind: str, presented_id: UUID, at: int) -> Caller | None:
        """Who presents a "token", "session" or "api-key" of that id; None if it does not count."""
        ...

    def api_key_digest(self, key_id: UUID) -> bytes | None:
        """The SHA-256 of an API key's secret; None when there is no such key."""
        ...

    def live_api_keys(self, account_id: UUID, at: int) -> int:
        """How many API keys of an account count at an instant."""
        ...

    def token_owner(self, jti: UUID) -> tuple[UUID, UUID | None] | None:
        """(account, session) of a token that has not been dropped; None when there is none."""
        ...

    def anything_lives(self, account_id: UUID, at: int) -> bool:
        """Whether a session or a token of the account counts, or could be renewed."""
        ...

    def reach(self, account_id: UUID, at: int) -> dict[str, int | None]:
        """Each permission an account holds, and until when (None: no end)."""
        ...

    def permissions_of(self, role: str) -> frozenset[str] | None:
        """A role's permissions; None when there is no such role."""
        ...

    def credentials_of(self, account_id: UUID) -> list[HeldCredential]:
        """An account's credentials, oldest first."""
        ...

    def locked_counters(self, account_id: UUID) -> list[tuple[UUID, str]]:
        """(stream, method) of every counter of failures of an account that stands above zero."""
        ...

    def sessions_opened_by(self, account_id: UUID, origin: str, at: int) -> list[UUID]:
        """An account's live sessions that one way of signing in has opened."""
        ...

    def holders(self, role: str, at: int) -> int:
        """How many accounts that are not erased hold a role, deleted ones included."""
        ...


class MappedGroup(Protocol):
    """A group mapping in force."""

    @property
    def mapping_id(self) -> UUID: ...

    @property
    def group(self) -> str: ...

    @property
    def role(self) -> str: ...


class Federations(Protocol):
    """What decides federated sign-ins: written in the append's own transaction."""

    def provider_ids(self) -> list[UUID]: ...

    def mappings(self, provider_id: UUID) -> Sequence[MappedGroup]: ...

    def linked(self, provider_id: UUID) -> int:
        """How many accounts are linked to a provider."""
        ...

    def sessions_of_subject(self, subject_hash: bytes) -> list[UUID]: ...

    def sessions_of_sid(self, sid_hash: bytes) -> list[UUID]: ...
