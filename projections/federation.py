"""Federation in the `access` read model: providers, mappings, linked identities, their sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account, group_mapping, identity, provider, session, token
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, Drop, DropWhere, Fields, Patch, Put
from gatebook.projections.rows import Queries, number, text, uuid
from gatebook.projections.tables import Column, Table

PROVIDERS: Final = Table(
    "access_providers",
    (
        Column("provider_id", "bytes"),
        Column("name", "text"),
        Column("enabled", "integer"),
        Column("created_at", "integer"),
        Column("changed_at", "integer"),
    ),
    key=("provider_id",),
)
MAPPINGS: Final = Table(
    "access_group_mappings",
    (
        Column("mapping_id", "bytes"),
        Column("provider_id", "bytes"),
        Column("group_name", "text"),
        Column("role", "text"),
        Column("created_at", "integer"),
    ),
    key=("mapping_id",),
    indexes=(("provider_id",), ("role",)),
)
IDENTITIES: Final = Table(
    "access_identities",
    (
        Column("identity_id", "bytes"),
        Column("account_id", "bytes"),
        Column("provider_id", "bytes"),
        Column("linked_at", "integer"),
    ),
    key=("identity_id",),
    indexes=(("account_id",), ("provider_id",)),
    sought="account_id",
)
FEDERATED_SESSIONS: Final = Table(
    "access_federated_sessions",
    (
        Column("session_id", "bytes"),
        Column("provider_id", "bytes"),
        Column("subject_hash", "bytes"),
        Column("sid_hash", "bytes"),
        Column("expires_at", "integer"),
    ),
    key=("session_id",),
    indexes=(("subject_hash",), ("sid_hash",)),
)
TABLES: Final = (PROVIDERS, MAPPINGS, IDENTITIES, FEDERATED_SESSIONS)


class KnownProvider(msgspec.Struct, frozen=True):
    """A provider that is configured. Times in microseconds."""

    provider_id: UUID
    name: str
    enabled: bool
    created_at: int
    changed_at: int


class KnownMapping(msgspec.Struct, frozen=True):
    """A group mapping in force."""

    mapping_id: UUID
    provider_id: UUID
    group: str
    role: str
    created_at: int


class KnownIdentity(msgspec.Struct, frozen=True):
    """An identity that is linked to an account."""

    identity_id: UUID
    account_id: UUID
    provider_id: UUID
    linked_at: int


TAKES: Final = frozenset(
    {
        provider.ProviderCreated,
        provider.ProviderChanged,
        provider.ProviderRemoved,
        group_mapping.GroupMappingAdded,
        group_mapping.GroupMappingRemoved,
        identity.IdentityLinked,
        identity.IdentityUnlinked,
        session.SessionFederated,
        session.SessionEnded,
        token.TokensPruned,
        account.AccountErased,
    }
)
"""The events that `fold` has changes for."""


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes."""
    key, at = (recorded.stream_id.bytes,), recorded.metadata.at
    match recorded.event:
        case provider.ProviderCreated(configuration=configured):
            created: Fields = {
                "provider_id": key[0],
                **_shown(configured),
                "created_at": at,
                "changed_at": at,
            }
            return (Put(PROVIDERS, created),)
        case provider.ProviderChanged(configuration=configured):
            changed: Fields = {**_shown(configured), "changed_at": at}
            return (Patch(PROVIDERS, key, changed),)
        case provider.ProviderRemoved():
            return (Drop(PROVIDERS, key),)
        case group_mapping.GroupMappingAdded() as event:
            mapping: Fields = {
                "mapping_id": key[0],
                "provider_id": event.provider_id.bytes,
                "group_name": event.group,
                "role": event.role,
                "created_at": at,
            }
            return (Put(MAPPINGS, mapping),)
        case group_mapping.GroupMappingRemoved():
            return (Drop(MAPPINGS, key),)
        case identity.IdentityLinked() as event:
            linked: Fields = {
                "identity_id": key[0],
                "account_id": event.account_id.bytes,
                "provider_id": event.provider_id.bytes,
                "linked_at": at,
            }
            return (Put(IDENTITIES, linked),)
        case identity.IdentityUnlinked():
            return (Drop(IDENTITIES, key),)
        case session.SessionFederated() as event:
            opened: Fields = {
                "session_id": key[0],
                "provider_id": event.provider_id.bytes,
                "subject_hash": event.subject_hash,
                "sid_hash": event.sid_hash,
                "expires_at": event.expires_at,
            }
            return (Put(FEDERATED_SESSIONS, opened),)
        case session.SessionEnded():
            return (Drop(FEDERATED_SESSIONS, key),)
        case token.TokensPruned(before=before):
            return (DropWhere(FEDERATED_SESSIONS, "expires_at", "<", before),)
        case account.AccountErased():
            return (DropWhere(IDENTITIES, "account_id", "=", key[0]),)
        case _:
            return ()


def _shown(configured: provider.Configuration) -> Fields:
    return {"name": configured.name, "enabled": int(configured.enabled)}


class FederationView:
    """The questions about federation. Every answer is as fresh as the last append."""

    def __init__(self, source: Queries) -> None:
        self._source = source

    def providers(self) -> list[KnownProvider]:
        """Every provider, by name."""
        found = self._source.query(
            "SELECT provider_id, name, enabled, created_at, changed_at FROM access_providers "
            "ORDER BY name, provider_id"
        )
        return [
            KnownProvider(uuid(row[0]), text(row[1]), bool(row[2]), number(row[3]), number(row[4]))
            for row in found
        ]

    def provider_ids(self) -> list[UUID]:
        """The ids of all providers."""
        return [one.provider_id for one in self.providers()]

    def mappings(self, provider_id: UUID | None = None) -> list[KnownMapping]:
        """Every mapping, or those of one provider, in the order of their ids."""
        sql = (
            "SELECT mapping_id, provider_id, group_name, role, created_at "
            "FROM access_group_mappings"
        )
        found = (
            self._source.query(f"{sql} ORDER BY mapping_id")
            if provider_id is None
            else self._source.query(
                f"{sql} WHERE provider_id = ? ORDER BY mapping_id", (provider_id.bytes,)
            )
        )
        return [
            KnownMapping(uuid(row[0]), uuid(row[1]), text(row[2]), text(row[3]), number(row[4]))
            for row in found
        ]

    def linked(self, provider_id: UUID) -> int:
        """How many accounts are linked to a provider."""
        found = self._source.query(
            "SELECT count(*) FROM access_identities WHERE provider_id = ?", (provider_id.bytes,)
        )
        return number(found[0][0])

    def identities(self, account_id: UUID) -> list[KnownIdentity]:
        """The identities that are linked to an account."""
        found = self._source.query(
            "SELECT identity_id, account_id, provider_id, linked_at FROM access_identities "
            "WHERE account_id = ? ORDER BY identity_id",
            (account_id.bytes,),
        )
        return [
            KnownIdentity(uuid(row[0]), uuid(row[1]), uuid(row[2]), number(row[3])) for row in found
        ]

    def provider_of(self, session_id: UUID) -> UUID | None:
        """The provider that a session was opened with; None for another session."""
        found = self._source.query(
            "SELECT provider_id FROM access_federated_sessions WHERE session_id = ?",
            (session_id.bytes,),
        )
        return uuid(found[0][0]) if found else None

    def sessions_of_subject(self, subject_hash: bytes) -> list[UUID]:
        """The sessions that a subject opened, by the keyed hash of who that is."""
        return self._sessions("subject_hash", subject_hash)

    def sessions_of_sid(self, sid_hash: bytes) -> list[UUID]:
        """The sessions that a provider's session opened, by its keyed hash."""
        return self._sessions("sid_hash", sid_hash)

    def _sessions(self, column: str, value: bytes) -> list[UUID]:
        found = self._source.query(
            f"SELECT session_id FROM access_federated_sessions WHERE {column} = ? "  # noqa: S608 - one of two constants
            "ORDER BY session_id",
            (value,),
        )
        return [uuid(row[0]) for row in found]
