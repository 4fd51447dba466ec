"""The accounts as people browse them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, Drop, Fields, Patch, Put
from gatebook.projections.opened import Opened, OpeningLog
from gatebook.projections.ports import Row, Value
from gatebook.projections.projection import Projection
from gatebook.projections.rows import marks, number, text, uuid
from gatebook.projections.tables import Column, Table

ACCOUNTS: Final = Table(
    "accounts",
    (
        Column("account_id", "bytes"),
        Column("created_position", "integer"),
        Column("profile_at", "integer"),
        Column("kind", "text"),
        Column("status", "text"),
        Column("created_at", "integer"),
        Column("updated_at", "integer"),
        Column("version", "integer"),
    ),
    key=("account_id",),
    indexes=(("created_position",),),
)
ROLES: Final = Table(
    "accounts_roles",
    (
        Column("account_id", "bytes"),
        Column("role", "text"),
        Column("expires_at", "integer", null=True),
    ),
    key=("account_id", "role"),
    indexes=(("role",),),
)

_STATUS: Final[dict[type, str]] = {
    account.AccountDeactivated: "inactive",
    account.AccountActivated: "active",
    account.AccountDeleted: "deleted",
    account.AccountErased: "erased",
}


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes: those of account streams only."""
    event = recorded.event
    if event.STREAM != "account":
        return ()
    account_id = recorded.stream_id.bytes
    key = (account_id,)
    at = recorded.metadata.at
    seen: Fields = {"updated_at": at, "version": recorded.version}
    match event:
        case account.AccountCreated(kind=kind):
            created: Fields = {
                "account_id": account_id,
                "created_position": recorded.position,
                "profile_at": recorded.position,
                "kind": kind,
                "status": "active",
                "created_at": at,
            }
            return (Put(ACCOUNTS, {**created, **seen}),)
        case account.AccountRenamed() | account.AccountProfileChanged():
            return (Patch(ACCOUNTS, key, {"profile_at": recorded.position, **seen}),)
        case account.RoleGranted(role=role, expires_at=expires_at):
            grant: Fields = {"account_id": account_id, "role": role, "expires_at": expires_at}
            return Put(ROLES, grant), Patch(ACCOUNTS, key, seen)
        case account.RoleRevoked(role=role):
            return Drop(ROLES, (account_id, role)), Patch(ACCOUNTS, key, seen)
        case _:
            restored = event.status if isinstance(event, account.AccountRestored) else None
            status = restored or _STATUS.get(type(event))
            return (Patch(ACCOUNTS, key, seen if status is None else {"status": status, **seen}),)


_COLUMNS: Final = (
    "created_position, account_id, profile_at, kind, status, created_at, updated_at, version"
)

SEARCHED: Final = 2_000
"""Names opened for one page of a search."""

PROJECTION: Final = Projection(name="accounts", version=2, tables=(ACCOUNTS, ROLES), fold=fold)


class ListedAccount(msgspec.Struct, frozen=True):
    """An account in the list. `cursor` is what `after` takes to go on behind it."""

    cursor: int
    account_id: UUID
    username: str | None
    kind: str
    status: str
    display_name: str | None
    email: str | None
    roles: list[str]
    created_at: int
    updated_at: int
    version: int


class AccountFilter(msgspec.Struct, frozen=True):
    """What the accounts must match; None matches all. `q`: part of a name or an e-mail."""

    status: str | None = None
    kind: str | None = None
    role: str | None = None
    q: str | None = None


class Listing(msgspec.Struct, frozen=True):
    """A page of accounts. `more`: the cursor to go on behind; None at the end."""

    items: list[ListedAccount]
    more: int | None


class AccountsView:
    """The list of accounts."""

    def __init__(self, source: OpeningLog, opened: Opened | None = None) -> None:
        self._source = source
        self._opened = opened or Opened(source)

    def page(self, wanted: AccountFilter, *, after: int = 0, limit: int, at: int) -> Listing:
        """At most `limit` accounts in the order they were created, with the roles in force `at`.

        Names are opened to be searched: so many a call, and then the page ends, however full.
        """
        where, params = _conditions(wanted, at)
        most = SEARCHED if wanted.q else limit
        found = self._source.query(
            f"SELECT {_COLUMNS} FROM accounts WHERE created_position > ? AND {where} "  # noqa: S608 - constants
            "ORDER BY created_position LIMIT ?",
            (after, *params, most + 1),
        )
        examined = found[:most]
        profiles = self._opened.profiles(
            [number(row[2]) for row in examined if text(row[4]) != "erased"]
        )
        kept = [row for row in examined if _matches(profiles.get(number(row[2])), wanted.q)]
        is_cut = len(kept) > limit
        kept = kept[:limit]
        roles = self._roles([row[1] for row in kept], at)
        items = [_listed(row, profiles.get(number(row[2])), roles.get(row[1], [])) for row in kept]
        last = kept if is_cut else examined
        return Listing(items, number(last[-1][0]) if is_cut or len(found) > most else None)

    def _roles(self, account_ids: list[Value], at: int) -> dict[Value, list[str]]:
        if not account_ids:
            return {}
        found = self._source.query(
            "SELECT h.account_id, h.role FROM accounts_roles h "  # noqa: S608 - placeholders only
            "JOIN access_roles r ON r.role = h.role "
            f"WHERE h.account_id IN ({marks(len(account_ids))}) "
            "AND (h.expires_at IS NULL OR h.expires_at > ?) ORDER BY h.role",
            (*account_ids, at),
        )
        roles: dict[Value, list[str]] = {}
        for account_id, role in found:
            roles.setdefault(account_id, []).append(text(role))
        return roles


def _conditions(wanted: AccountFilter, at: int) -> tuple[str, tuple[Value, ...]]:
    conditions = ["1 = 1"]
    params: list[Value] = []
    if wanted.status == "deleted":
        conditions.append("status IN ('deleted', 'erased')")  # an erased one is shown as deleted
    elif wanted.status is not None:
        conditions.append("status = ?")
        params.append(wanted.status)
    if wanted.kind is not None:
        conditions.append("kind = ?")
        params.append(wanted.kind)
    if wanted.role is not None:
        conditions.append(
            "account_id IN (SELECT h.account_id FROM accounts_roles h "
            "JOIN access_roles r ON r.role = h.role "
            "WHERE h.role = ? AND (h.expires_at IS NULL OR h.expires_at > ?))"
        )
        params += [wanted.role, at]
    return " AND ".join(conditions), tuple(params)


def _matches(profile: account.Profile | None, part: str | None) -> bool:
    if not part:
        return True
    if profile is None:
        return False
    words = (profile.username, profile.display_name, profile.email)
    return part.casefold() in "\n".join(words).casefold()


def _listed(row: Row, profile: account.Profile | None, roles: list[str]) -> ListedAccount:
    return ListedAccount(
        cursor=number(row[0]),
        account_id=uuid(row[1]),
        username=profile.username if profile is not None else None,
        kind=text(row[3]),
        status=text(row[4]),
        display_name=profile.display_name if profile is not None else None,
        email=profile.email if profile is not None else None,
        roles=roles,
        created_at=number(row[5]),
        updated_at=number(row[6]),
        version=number(row[7]),
    )
