"""Roles, what they stand for, and who holds them."""

from __future__ import annotations

from gatebook.api import decoding, lists
from gatebook.api.accounts import etag, existing
from gatebook.api.call import Call
from gatebook.api.past import stood
from gatebook.api.past_schemas import PastPaging
from gatebook.api.reply import Reply
from gatebook.api.schemas import AsOf, Grant, GrantQuery, Paging, Permission, Role, RoleBody
from gatebook.domain.errors import NotFound
from gatebook.domain.permissions import CATALOGUE
from gatebook.projections.access_view import DefinedRole, HeldRole
from gatebook.store.past import GRANTS


def browse(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/roles, now or as they stood"""
    with stood(call, GRANTS) as then:
        found = then.access.roles()
    shown = lists.short_page(call, "roles", found, lambda role: role.name, _role)
    return Reply(200, shown, then.headers)


def _role(role: DefinedRole) -> Role:
    return Role(role.name, sorted(role.permissions), role.description, role.built_in)


def show(call: Call[None, AsOf]) -> Reply:
    """GET /v1/roles/{role}, now or as it stood"""
    with stood(call, GRANTS) as then:
        if then.past is not None:
            role = then.access.role(call.path["role"])
            if role is None:
                raise NotFound(f"There was no role {call.path['role']!r} then.")
            return Reply(200, _role(role), then.headers)
    view = call.house.roles.view(call.path["role"])
    body = Role(view.name, view.permissions, view.description, view.built_in)
    return Reply(200, body, {"ETag": etag(view.version)})


def define(call: Call[RoleBody, None]) -> Reply:
    """PUT /v1/roles/{role}"""
    name, body = call.path["role"], call.body
    view, is_new = call.house.roles.define(
        call.by(), name, body.permissions, body.description, if_match=call.if_match
    )
    shown = Role(view.name, view.permissions, view.description, view.built_in)
    headers = {"ETag": etag(view.version)}
    if is_new:
        headers["Location"] = f"/v1/roles/{name}"
    return Reply(201 if is_new else 200, shown, headers)


def delete(call: Call[None, None]) -> Reply:
    """DELETE /v1/roles/{role}"""
    call.house.roles.delete(call.by(), call.path["role"], if_match=call.if_match)
    return Reply(204)


def permissions(call: Call[None, Paging]) -> Reply:
    """GET /v1/permissions"""
    found = list(CATALOGUE.items())
    return Reply(
        200,
        lists.short_page(call, "permissions", found, lambda one: one[0], lambda p: Permission(*p)),
    )


def held(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/accounts/{account_id}/roles, now or as they stood"""
    existing(call, call.account_id)
    with stood(call, GRANTS, [call.account_id]) as then:
        found = then.access.roles_of(call.account_id, then.at)
    shown = lists.short_page(call, "held-roles", found, lambda one: one.role, _grant)
    return Reply(200, shown, then.headers)


def _grant(one: HeldRole) -> Grant:
    return Grant(one.role, decoding.maybe_instant(one.expires_at))


def holding(call: Call[None, None]) -> Reply:
    """GET /v1/accounts/{account_id}/roles/{role}"""
    existing(call, call.account_id)
    for one in call.house.access.roles_of(call.account_id, call.now):
        if one.role == call.path["role"]:
            return Reply(200, _grant(one))
    raise NotFound("The account does not hold this role.")


def grant(call: Call[None, GrantQuery]) -> Reply:
    """PUT /v1/accounts/{account_id}/roles/{role}"""
    until = call.query.expires_at
    call.house.roles.grant(
        call.by(),
        call.account_id,
        call.path["role"],
        expires_at=decoding.microseconds(until) if until is not None else None,
        if_match=call.if_match,
    )
    return Reply(204)


def revoke(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/roles/{role}"""
    call.house.roles.revoke(call.by(), call.account_id, call.path["role"], if_match=call.if_match)
    return Reply(204)
