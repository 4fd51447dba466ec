"""Accounts: create, list, read, change, delete, restore, erase."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from gatebook.api import decoding, lists
from gatebook.api.call import Call
from gatebook.api.past import stood
from gatebook.api.reply import Reply
from gatebook.api.schemas import (
    Account,
    AccountChanges,
    AccountQuery,
    AsOf,
    Erasure,
    NewAccount,
    NewPassword,
    Nothing,
    Page,
)
from gatebook.domain.application.accounts import AccountView, Changes
from gatebook.projections.accounts import AccountFilter, AccountsView, ListedAccount
from gatebook.store.past import GRANTS


def account_of(view: AccountView) -> Account:
    """An account as it is shown."""
    return Account(
        id=view.id,
        username=view.username,
        type=view.kind,
        status=view.status,
        display_name=view.display_name,
        email=view.email,
        roles=view.roles,
        created_at=decoding.instant(view.created_at),
        updated_at=decoding.instant(view.updated_at),
        version=view.version,
    )


def _shown(view: AccountView) -> Reply:
    return Reply(200, account_of(view), {"ETag": etag(view.version)})


def etag(version: int) -> str:
    """The ETag of a stream's version."""
    return f'"{version}"'


def create(call: Call[NewAccount, None]) -> Reply:
    """POST /v1/accounts"""
    body, house = call.body, call.house
    plaintext = house.plaintext(body.password) if body.password is not None else None

    def created(view: AccountView) -> Reply:
        headers = {"Location": f"/v1/accounts/{view.id}", "ETag": etag(view.version)}
        return Reply(201, account_of(view), headers)

    return call.command(
        lambda by: house.accounts.create(
            by,
            body.username,
            body.type,
            display_name=body.display_name,
            email=body.email,
            plaintext=plaintext,
        ),
        created,
    )


def browse(call: Call[None, AccountQuery]) -> Reply:
    """GET /v1/accounts"""
    query = call.query
    if query.username is not None:
        return _named_so(call, query.username)
    wanted = AccountFilter(status=query.status, kind=query.type, role=query.role, q=query.q)
    after = lists.opened(call, "accounts", int)
    headers = lists.caught_up(call, "accounts")
    call.house.notice_erasures()
    listing = AccountsView(call.house.store, call.house.opened).page(
        wanted, after=after[0] if after else 0, limit=query.limit, at=call.now
    )
    found, more = listing.items, listing.more
    # The list follows behind, and an erasure between two looks must not show.
    erased = call.house.access.erased_among([one.account_id for one in found])
    if query.q is not None:
        found = [one for one in found if one.account_id not in erased]
    found = [_without_person(one) if one.account_id in erased else one for one in found]
    cursor = None if more is None else call.house.cursors.seal("accounts", more)
    return Reply(200, Page([_listed(one) for one in found], cursor), headers)


def _named_so(call: Call[None, AccountQuery], username: str) -> Reply:
    """The one account that has a name, in whatever spelling; from the log, so never behind."""
    call.house.notice_erasures()
    owner = call.house.accounts.load_name(username).state.owner
    known = None if owner is None else call.house.access.account(owner, call.now)
    if owner is None or known is None or known.status == "erased":
        # Whoever knows the name of somebody who was erased must not find out what he did.
        return Reply(200, Page[Account]([], None))
    return Reply(200, Page([account_of(call.house.accounts.view(owner, call.now))], None))


def _without_person(one: ListedAccount) -> ListedAccount:
    """As the list will be once it has followed the erasure."""
    return msgspec.structs.replace(
        one, status="erased", username=None, display_name=None, email=None
    )


def _listed(one: ListedAccount) -> Account:
    return Account(
        id=one.account_id,
        username=one.username,
        type=one.kind,
        status="deleted" if one.status == "erased" else one.status,
        display_name=one.display_name,
        email=one.email,
        roles=one.roles,
        created_at=decoding.instant(one.created_at),
        updated_at=decoding.instant(one.updated_at),
        version=one.version,
    )


def show(call: Call[None, AsOf]) -> Reply:
    """GET /v1/accounts/{account_id}, now or as it stood"""
    call.house.notice_erasures()
    with stood(call, GRANTS, [call.account_id]) as then:
        position = None if then.past is None else then.past.position
        view = call.house.accounts.view(call.account_id, then.at, position)
        # Only roles that exist: a name whose role is gone gives nothing, whoever defines it anew.
        roles = [one.role for one in then.access.roles_of(call.account_id, then.at)]
        view = msgspec.structs.replace(view, roles=roles)
    return _shown(view) if then.past is None else Reply(200, account_of(view), then.headers)


def change(call: Call[AccountChanges, None]) -> Reply:
    """PATCH /v1/accounts/{account_id}"""
    body = call.body
    changes = Changes(
        username=_named(body.username),
        display_name=_named(body.display_name),
        email=_named(body.email),
        status=None if body.status is UNSET else body.status,
    )
    return _shown(
        call.house.accounts.change(call.by(), call.account_id, changes, if_match=call.if_match)
    )


def _named(value: str | UnsetType) -> str | None:
    return None if isinstance(value, UnsetType) else value


def delete(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}"""
    call.house.accounts.set_status(call.by(), call.account_id, "deleted", if_match=call.if_match)
    return Reply(204)


def restore(call: Call[Nothing, None]) -> Reply:
    """POST /v1/accounts/{account_id}/restore"""
    accounts, account_id, version = call.house.accounts, call.account_id, call.if_match
    return call.command(
        lambda by: accounts.set_status(by, account_id, "restored", if_match=version), _shown
    )


def erase(call: Call[Erasure, None]) -> Reply:
    """POST /v1/accounts/{account_id}/erase"""
    accounts, account_id, confirm = call.house.accounts, call.account_id, call.body.confirm
    return call.command(lambda by: accounts.erase(by, account_id, confirm), _done)


def set_password(call: Call[NewPassword, None]) -> Reply:
    """PUT /v1/accounts/{account_id}/password"""
    plaintext = call.house.plaintext(call.body.password)
    by, account_id = call.by(), call.account_id
    call.house.passwords.set_password(by, account_id, plaintext, if_match=call.if_match)
    return Reply(204)


def unlock(call: Call[Nothing, None]) -> Reply:
    """POST /v1/accounts/{account_id}/unlock"""
    passwords, account_id = call.house.passwords, call.account_id
    return call.command(lambda by: passwords.unlock(by, account_id), _done)


def _done(_result: None) -> Reply:
    return Reply(204)


def existing(call: Call[Any, Any], account_id: UUID) -> None:
    """Raises NotFound unless there is, or was, such an account."""
    call.house.accounts.view(account_id, call.now)
