"""API keys in the `access` read model: their table, its fold, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import api_key
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, Drop, Fields, Patch, Put
from gatebook.projections.opened import Opened
from gatebook.projections.rows import Queries, maybe_number, maybe_uuid, number, text, uuid
from gatebook.projections.tables import Column, Table

API_KEYS: Final = Table(
    "access_api_keys",
    (
        Column("key_id", "bytes"),
        Column("account_id", "bytes"),
        Column("created_position", "integer"),
        Column("scope", "text"),
        Column("created_at", "integer"),
        Column("expires_at", "integer", null=True),
        Column("successor", "bytes", null=True),
    ),
    key=("key_id",),
    indexes=(("account_id",),),
    sought="account_id",
)

_KEYS = (
    "SELECT key_id, account_id, created_position, scope, created_at, expires_at, successor "
    "FROM access_api_keys"
)
_LIVE = "account_id = ? AND (expires_at IS NULL OR expires_at > ?)"


class LiveApiKey(msgspec.Struct, frozen=True):
    """A key that counts now. Times in microseconds; `successor` is the key that follows it."""

    key_id: UUID
    account_id: UUID
    name: str
    scope: str
    created_at: int
    expires_at: int | None
    successor: UUID | None


def fold(recorded: Recorded, event: api_key.Happening) -> Sequence[Change]:
    """The changes that an event makes."""
    key = (recorded.stream_id.bytes,)
    match event:
        case api_key.ApiKeyCreated():
            row: Fields = {
                "key_id": key[0],
                "account_id": event.account_id.bytes,
                "created_position": recorded.position,
                "scope": event.scope,
                "created_at": recorded.metadata.at,
                "expires_at": event.expires_at,
                "successor": None,
            }
            return (Put(API_KEYS, row),)
        case api_key.ApiKeyRotated(expires_at=expires_at, successor=successor):
            ends: Fields = {"expires_at": expires_at, "successor": successor.bytes}
            return (Patch(API_KEYS, key, ends),)
        case _:
            return (Drop(API_KEYS, key),)


def digest_of(source: Queries, opened: Opened, key_id: UUID) -> bytes | None:
    """The SHA-256 of a key's secret; None when there is no such key."""
    found = source.query(
        "SELECT created_position FROM access_api_keys WHERE key_id = ?", (key_id.bytes,)
    )
    secret = opened.api_key(number(found[0][0])) if found else None
    return None if secret is None else secret.digest


def count_of(source: Queries, account_id: UUID, at: int) -> int:
    """How many keys of an account count at an instant."""
    sql = f"SELECT count(*) FROM access_api_keys WHERE {_LIVE}"  # noqa: S608 - a constant
    return number(source.query(sql, (account_id.bytes, at))[0][0])


def keys_of(source: Queries, opened: Opened, account_id: UUID, at: int) -> list[LiveApiKey]:
    """An account's keys that count at an instant, oldest first."""
    found = source.query(
        f"{_KEYS} WHERE {_LIVE} ORDER BY created_at, key_id", (account_id.bytes, at)
    )
    return [
        LiveApiKey(
            key_id=uuid(row[0]),
            account_id=uuid(row[1]),
            name=_name(opened, number(row[2])),
            scope=text(row[3]),
            created_at=number(row[4]),
            expires_at=maybe_number(row[5]),
            successor=maybe_uuid(row[6]),
        )
        for row in found
    ]


def _name(opened: Opened, position: int) -> str:
    secret = opened.api_key(position)
    return "" if secret is None else secret.name
