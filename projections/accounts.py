"""The accounts as people browse them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, Drop, Fields, Patch, Put
from gatebook.projections.ports import Value
from gatebook.projections.projection import Projection
from gatebook.projections.rows import Queries, marks, maybe_text, number, text, uuid
from gatebook.projections.tables import Column, Table

ACCOUNTS: Final = Table(
    "accounts",
    (
        Column("account_id", "bytes"),
        Column("created_position", "integer"),
        Column("username", "text", null=True),
        Column("kind", "text"),
        Column("status", "text"),
        Column("display_name", "text", null=True),
        Column("email", "text", null=True),
        Column("search", "text"),
        Column("created_at", "integer"),
        Column("updated_at", "integer"),
        Column("version", "integer"),
    ),
    key=("account_id",),
    indexes=(("created_position",), ("username",)),
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
        case account.AccountCreated(kind=kind, profile=profile):
            created: Fields = {
                "account_id": account_id,
                "created_position": recorded.position,
                "kind": kind,
                "status": "active",
                "created_at": at,
            }
            return (Put(ACCOUNTS, {**created, **_personal(profile), **seen}),)
        case (
            account.AccountRenamed(profile=profile) | account.AccountProfileChanged(profile=profile)
        ):
            return (Patch(ACCOUNTS, key, {**_personal(profile), **seen}),)
        case account.AccountErased():
            return (Patch(ACCOUNTS, key, {"status": "erased", **_personal(None), **seen}),)
        case account.RoleGranted(role=role, expires_at=expires_at):
            grant: Fields = {"account_id": account_id, "role": role, "expires_at": expires_at}
            return Put(ROLES, grant), Patch(ACCOUNTS, key, seen)
        case account.RoleRevoked(role=role):
            return Drop(ROLES, (account_id, role)), Patch(ACCOUNTS, key, seen)
        case _:
            restored = event.status if isinstance(event, account.AccountRestored) else None
            status = restored or _STATUS.get(type(event))
            return (Patch(ACCOUNTS, key, seen if status is None else {"status": status, **seen}),)


def _personal(profile: account.Profile | None) -> Fields:
    if profile is None:
        return {"username": None, "display_name": None, "email": None, "search": ""}
    words = (profile.username, profile.display_name, profile.email)
    return {
        "username": profile.username,
        "display_name": profile.display_name,
        "email": profile.email,
        "search": "\n".join(words).casefold(),
    }


PROJECTION: Final = Projection(name="accounts", version=1, tables=(ACCOUNTS, ROLES), fold=fold)


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


class AccountsView:
    """The list of accounts."""

    def __init__(self, source: Queries) -> None:
        self._source = source

    def page(
        self, wanted: AccountFilter, *, after: int = 0, limit: int, at: int
    ) -> list[ListedAccount]:
        """At most `limit` accounts in the order they were created, with the roles in force `at`."""
        where, params = _conditions(wanted, after, at)
        found = self._source.query(
            "SELECT created_position, account_id, username, kind, status, display_name, email, "  # noqa: S608
            f"created_at, updated_at, version FROM accounts WHERE {where} "
            "ORDER BY created_position LIMIT ?",
            (*params, limit),
        )
        roles = self._roles([row[1] for row in found], at)
        return [
            ListedAccount(
                cursor=number(row[0]),
                account_id=uuid(row[1]),
                username=maybe_text(row[2]),
                kind=text(row[3]),
                status=text(row[4]),
                display_name=maybe_text(row[5]),
                email=maybe_text(row[6]),
                roles=roles.get(row[1], []),
                created_at=number(row[7]),
                updated_at=number(row[8]),
                version=number(row[9]),
            )
            for row in found
        ]

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


def _conditions(wanted: AccountFilter, after: int, at: int) -> tuple[str, tuple[Value, ...]]:
    conditions = ["created_position > ?"]
    params: list[Value] = [after]
    if wanted.status == "deleted":
        conditions.append(
            "status IN ('deleted', 'erased')"
        )  # an erased account is shown as deleted
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
    if wanted.q:
        conditions.append("search LIKE ? ESCAPE '!'")
        params.append(f"%{_literal(wanted.q.casefold())}%")
    return " AND ".join(conditions), tuple(params)


def _literal(part: str) -> str:
    return part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
