"""Break-glass credentials in the `access` read model: who has one, and when it was last used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account
from gatebook.domain import break_glass as credential
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, Drop, Fields, Patch, Put
from gatebook.projections.opened import Opened
from gatebook.projections.rows import Queries, maybe_number, number, uuid
from gatebook.projections.tables import Column, Table

BREAK_GLASS: Final = Table(
    "access_break_glass",
    (
        Column("account_id", "bytes"),
        Column("set_at", "integer"),
        Column("expires_at", "integer", null=True),
        Column("once", "integer"),
        Column("last_used_at", "integer", null=True),
    ),
    key=("account_id",),
)

_LISTED: Final = """
SELECT b.account_id, a.profile_at, b.set_at, b.expires_at, b.once, b.last_used_at,
       (SELECT max(t.locked_until) FROM access_attempts t
        WHERE t.account_id = b.account_id AND t.method = 'break-glass')
FROM access_break_glass b JOIN access_accounts a ON a.account_id = b.account_id
WHERE b.expires_at IS NULL OR b.expires_at > ?
ORDER BY b.account_id
"""


class ListedCredential(msgspec.Struct, frozen=True):
    """A credential that counts now. `once`: its first use ends it. Times in microseconds.

    `locked_until` is the end of the longest lock, whether of one address or of all; None: no lock.
    """

    account_id: UUID
    username: str | None
    set_at: int
    expires_at: int | None
    once: bool
    last_used_at: int | None
    locked_until: int | None


TAKES: Final = frozenset(
    {
        credential.CredentialSet,
        credential.CredentialRemoved,
        credential.CredentialExpired,
        credential.LoginSucceeded,
        account.AccountErased,
    }
)
"""The events that `fold` has changes for."""


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes."""
    match recorded.event:
        case credential.CredentialSet() as event:
            row: Fields = {
                "account_id": event.account_id.bytes,
                "set_at": recorded.metadata.at,
                "expires_at": event.expires_at,
                "once": int(event.once),
                "last_used_at": None,
            }
            return (Put(BREAK_GLASS, row),)
        case (
            credential.CredentialRemoved(account_id=account_id)
            | credential.CredentialExpired(account_id=account_id)
        ):
            return (Drop(BREAK_GLASS, (account_id.bytes,)),)
        case credential.LoginSucceeded(account_id=account_id):
            used: Fields = {"last_used_at": recorded.metadata.at}
            return (Patch(BREAK_GLASS, (account_id.bytes,), used),)
        case account.AccountErased():
            return (Drop(BREAK_GLASS, (recorded.stream_id.bytes,)),)
        case _:
            return ()


def listed(source: Queries, opened: Opened, at: int) -> list[ListedCredential]:
    """Every credential that counts at an instant."""
    found = source.query(_LISTED, (at,))
    profiles = opened.profiles([number(row[1]) for row in found])
    return [
        ListedCredential(
            account_id=uuid(row[0]),
            username=profile.username if (profile := profiles[number(row[1])]) else None,
            set_at=number(row[2]),
            expires_at=maybe_number(row[3]),
            once=bool(row[4]),
            last_used_at=maybe_number(row[5]),
            locked_until=_still(maybe_number(row[6]), at),
        )
        for row in found
    ]


def due(source: Queries, at: int) -> list[UUID]:
    """Accounts whose credential's time is over."""
    found = source.query(
        "SELECT account_id FROM access_break_glass WHERE expires_at <= ? ORDER BY account_id", (at,)
    )
    return [uuid(row[0]) for row in found]


def _still(until: int | None, at: int) -> int | None:
    return until if until is not None and at < until else None
