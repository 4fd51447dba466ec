"""OAuth 2 clients: how a system account may ask for tokens."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from gatebook.api.accounts import etag, existing
from gatebook.api.api_key_schemas import Client, ClientBody
from gatebook.api.call import Call
from gatebook.api.problems import invalid
from gatebook.api.reply import Reply
from gatebook.domain import client as clients
from gatebook.domain.application.clients import Configured
from gatebook.domain.client import PRIVATE_KEY_JWT
from gatebook.store import jose

_KEPT: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")
MAX_KID: Final = 200


def show(call: Call[None, None]) -> Reply:
    """GET /v1/accounts/{account_id}/client"""
    existing(call, call.account_id)
    loaded = call.house.clients.load(call.account_id)
    return _reply(call, Configured(loaded.state, loaded.version))


def configure(call: Call[ClientBody, None]) -> Reply:
    """PUT /v1/accounts/{account_id}/client"""
    existing(call, call.account_id)
    body = call.body
    keys = [_public(key, number) for number, key in enumerate(body.jwks.keys)]
    named = [key["kid"] for key in keys if "kid" in key]
    if len(set(named)) != len(named):
        raise invalid("Two keys have one kid.", "/jwks/keys")
    if PRIVATE_KEY_JWT in body.auth_methods and not keys:
        raise invalid("private_key_jwt needs a key.", "/jwks/keys")
    wanted = clients.Client(
        jwks=json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":")),
        auth_methods=tuple(m for m in clients.AUTH_METHODS if m in body.auth_methods),
        scopes=tuple(dict.fromkeys(body.scopes)),
        resources=tuple(dict.fromkeys(body.resources)),
        dpop_bound=body.dpop_bound_access_tokens,
    )
    configured = call.house.clients.configure(
        call.by(), call.account_id, wanted, if_match=call.if_match
    )
    return _reply(call, configured)


def remove(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/client"""
    existing(call, call.account_id)
    call.house.clients.remove(call.by(), call.account_id, if_match=call.if_match)
    return Reply(204)


def _public(jwk: dict[str, Any], number: int) -> dict[str, str]:
    """What is kept of a key. Raises a Problem for one that cannot verify, or is not public."""
    pointer = f"/jwks/keys/{number}"
    try:
        jose.public_key(jwk)
    except jose.InvalidKey as error:
        raise invalid(f"The key is refused. {error}", pointer) from error
    kid = jwk.get("kid", "k")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID or not kid.isprintable():
        raise invalid(f"kid is 1 to {MAX_KID} printable characters.", f"{pointer}/kid")
    return {name: jwk[name] for name in _KEPT if name in jwk}


def _reply(call: Call[Any, Any], configured: Configured) -> Reply:
    client = configured.client
    body = Client(
        client_id=call.account_id,
        configured=client.configured,
        jwks=msgspec.json.decode(client.jwks, type=dict[str, Any]),
        auth_methods=list(client.auth_methods),
        scopes=list(client.scopes),
        resources=list(client.resources),
        dpop_bound_access_tokens=client.dpop_bound,
    )
    return Reply(200, body, {"ETag": etag(configured.version)})
