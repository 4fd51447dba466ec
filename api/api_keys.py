"""API keys: make, list, show, rotate, revoke."""

from __future__ import annotations

from gatebook.api import decoding, lists
from gatebook.api.accounts import existing
from gatebook.api.api_key_schemas import ApiKey, KeyRotation, MintedApiKey, NewApiKey
from gatebook.api.call import Call
from gatebook.api.problems import Problem
from gatebook.api.reply import Reply
from gatebook.api.schemas import Paging
from gatebook.domain.application.api_keys import MintedKey
from gatebook.domain.application.families import SECOND
from gatebook.projections.api_keys import LiveApiKey


def _minted(minted: MintedKey) -> Reply:
    body = MintedApiKey(
        id=minted.id,
        key=minted.key,
        account_id=minted.account_id,
        name=minted.name,
        scope=minted.scope,
        created_at=decoding.instant(minted.created_at),
        expires_at=decoding.maybe_instant(minted.expires_at),
        replaces=minted.replaces,
    )
    location = f"/v1/accounts/{minted.account_id}/api-keys/{minted.id}"
    return Reply(201, body, {"Location": location})


def create(call: Call[NewApiKey, None]) -> Reply:
    """POST /v1/accounts/{account_id}/api-keys"""
    existing(call, call.account_id)
    body, keys = call.body, call.house.api_keys
    expires_at = decoding.maybe_microseconds(body.expires_at)
    return call.command(
        lambda by: keys.create(
            by, call.account_id, name=body.name, scope=body.scope, expires_at=expires_at
        ),
        _minted,
    )


def rotate(call: Call[KeyRotation, None]) -> Reply:
    """POST /v1/accounts/{account_id}/api-keys/{key_id}/rotate"""
    existing(call, call.account_id)
    keys, key_id, overlap = call.house.api_keys, call.path["key_id"], call.body.overlap * SECOND
    return call.command(
        lambda by: keys.rotate(by, call.account_id, key_id, overlap=overlap), _minted
    )


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/accounts/{account_id}/api-keys"""
    existing(call, call.account_id)
    found = call.house.access.api_keys_of(call.account_id, call.now)
    used = call.house.activity.lasts(one.key_id for one in found)
    page = lists.short_page(
        call, "api-keys", found, _key, lambda one: _shown(one, used.get(one.key_id))
    )
    return Reply(200, page)


def show(call: Call[None, None]) -> Reply:
    """GET /v1/accounts/{account_id}/api-keys/{key_id}"""
    existing(call, call.account_id)
    for one in call.house.access.api_keys_of(call.account_id, call.now):
        if one.key_id == call.path["key_id"]:
            return Reply(200, _shown(one, call.house.activity.last(one.key_id)))
    raise Problem("not-found", "The account has no such API key.")


def revoke(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/api-keys/{key_id}"""
    existing(call, call.account_id)
    call.house.api_keys.revoke(call.by(), call.account_id, call.path["key_id"])
    return Reply(204)


def _key(one: LiveApiKey) -> str:
    return f"{one.created_at:020d}{one.key_id}"


def _shown(one: LiveApiKey, used: int | None) -> ApiKey:
    return ApiKey(
        id=one.key_id,
        account_id=one.account_id,
        name=one.name,
        scope=one.scope,
        created_at=decoding.instant(one.created_at),
        expires_at=decoding.maybe_instant(one.expires_at),
        last_used_at=decoding.maybe_instant(used),
        successor=one.successor,
    )
