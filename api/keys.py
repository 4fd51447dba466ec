"""Signing keys: list, create, rotate, retire."""

from __future__ import annotations

import msgspec

from gatebook.api import decoding, lists
from gatebook.api.call import Call
from gatebook.api.credential_schemas import KeyOrder, Rotation, SigningKey
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing, Paging
from gatebook.domain.application.keys import KeyView

SECOND = 1_000_000


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/keys"""
    found = call.house.keys.all(call.now)
    return Reply(200, lists.short_page(call, "keys", found, lambda key: key.kid, _key))


def _key(view: KeyView) -> SigningKey:
    return SigningKey(
        kid=view.kid,
        algorithm=view.algorithm,
        status=view.status,
        signs_from=decoding.maybe_instant(view.signs_from),
        public_jwk=msgspec.json.decode(view.public_jwk, type=dict[str, str]),
    )


def create(call: Call[KeyOrder, None]) -> Reply:
    """POST /v1/keys"""
    keys, algorithm = call.house.keys, call.body.algorithm
    return call.command(lambda by: keys.create(by, algorithm), lambda key: Reply(201, _key(key)))


def rotate(call: Call[Rotation, None]) -> Reply:
    """POST /v1/keys/rotate"""
    keys, body = call.house.keys, call.body
    return call.command(
        lambda by: keys.rotate(by, lead=body.lead * SECOND, algorithm=body.algorithm),
        lambda key: Reply(201, _key(key)),
    )


def retire(call: Call[Nothing, None]) -> Reply:
    """POST /v1/keys/{kid}/retire"""
    keys, kid = call.house.keys, call.path["kid"]
    return call.command(lambda by: keys.retire(by, kid), lambda key: Reply(200, _key(key)))
