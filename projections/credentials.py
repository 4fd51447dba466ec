"""Credentials in the `access` read model: which kinds an account has, and since when.

No secret, no name: what a person called his passkey is opened when it is shown, and so is gone
with the key it is sealed under.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from gatebook.domain import (
    account,
    api_key,
    break_glass,
    passkey,
    password,
    recovery_codes,
    totp,
)
from gatebook.domain.access import HeldCredential
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.projections.changes import Change, Drop, DropWhere, Fields, Patch, Put
from gatebook.projections.rows import Queries, maybe_number, maybe_text, number, text, uuid
from gatebook.projections.tables import Column, Table

CREDENTIALS: Final = Table(
    "access_credentials",
    (
        Column("credential_id", "bytes"),
        Column("account_id", "bytes"),
        Column("kind", "text"),
        Column("created_at", "integer"),
        Column("expires_at", "integer", null=True),
        Column("detail", "text", null=True),
    ),
    key=("credential_id",),
    indexes=(("account_id",),),
    sought="account_id",
)
"""`credential_id` is its stream's id. `detail` is a word of its kind's own, never personal."""

_CREDENTIALS: Final = (
    "SELECT credential_id, account_id, kind, created_at, expires_at, detail FROM access_credentials"
)


def put(
    recorded: Recorded, kind: str, *, expires_at: int | None = None, detail: str | None = None
) -> Put:
    """The row of a credential whose stream this event stands in."""
    row: Fields = {
        "credential_id": recorded.stream_id.bytes,
        "account_id": recorded.event.account_id.bytes,  # type: ignore[attr-defined]  # of its kind
        "kind": kind,
        "created_at": recorded.metadata.at,
        "expires_at": expires_at,
        "detail": detail,
    }
    return Put(CREDENTIALS, row)


def drop(recorded: Recorded) -> Drop:
    """The credential whose stream this event stands in is gone."""
    return Drop(CREDENTIALS, (recorded.stream_id.bytes,))


_FOLDS: Final[dict[type[Event], Callable[[Recorded, Any], Change]]] = {
    account.AccountErased: lambda recorded, _event: DropWhere(
        CREDENTIALS, "account_id", "=", recorded.stream_id.bytes
    ),
    api_key.ApiKeyCreated: lambda recorded, event: put(
        recorded, "api-key", expires_at=event.expires_at
    ),
    api_key.ApiKeyRotated: lambda recorded, event: Patch(
        CREDENTIALS, (recorded.stream_id.bytes,), {"expires_at": event.expires_at}
    ),
    api_key.ApiKeyRevoked: lambda recorded, _event: drop(recorded),
    break_glass.CredentialSet: lambda recorded, event: put(
        recorded, "break-glass", expires_at=event.expires_at
    ),
    break_glass.CredentialRemoved: lambda recorded, _event: drop(recorded),
    break_glass.CredentialExpired: lambda recorded, _event: drop(recorded),
    password.PasswordSet: lambda recorded, event: put(recorded, "password", detail=event.origin),
    password.PasswordRemoved: lambda recorded, _event: drop(recorded),
    totp.TotpConfirmed: lambda recorded, _event: put(recorded, "totp"),
    totp.TotpRemoved: lambda recorded, _event: drop(recorded),
    recovery_codes.RecoveryCodesGenerated: lambda recorded, _event: put(recorded, "recovery-codes"),
    recovery_codes.RecoveryCodesRemoved: lambda recorded, _event: drop(recorded),
    passkey.PasskeyRegistered: lambda recorded, event: put(
        recorded, "passkey", detail=event.attestation
    ),
    passkey.PasskeyRemoved: lambda recorded, _event: drop(recorded),
}


TAKES: Final = frozenset(_FOLDS)
"""The events that `fold` has changes for."""


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes."""
    change = _FOLDS.get(type(recorded.event))
    return () if change is None else (change(recorded, recorded.event),)


def credentials_of(source: Queries, account_id: UUID) -> list[HeldCredential]:
    """An account's credentials, oldest first."""
    found = source.query(
        f"{_CREDENTIALS} WHERE account_id = ? ORDER BY created_at, credential_id",
        (account_id.bytes,),
    )
    return [
        HeldCredential(
            credential_id=uuid(row[0]),
            account_id=uuid(row[1]),
            kind=text(row[2]),
            created_at=number(row[3]),
            expires_at=maybe_number(row[4]),
            detail=maybe_text(row[5]),
        )
        for row in found
    ]
