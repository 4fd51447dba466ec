"""The identities at providers that are linked to an account: listed, and unlinked."""

from __future__ import annotations

from gatebook.api import decoding, lists
from gatebook.api import federation_schemas as f
from gatebook.api.accounts import existing
from gatebook.api.call import Call
from gatebook.api.reply import Reply
from gatebook.api.schemas import Paging
from gatebook.projections.federation import KnownIdentity


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/accounts/{account_id}/identities"""
    existing(call, call.account_id)
    found = call.house.federations.identities(call.account_id)
    return Reply(200, lists.short_page(call, "identities", found, _key, _shown))


def unlink(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/identities/{identity_id}"""
    call.house.providers.unlink(call.by(), call.account_id, call.path["identity_id"])
    return Reply(204)


def _key(one: KnownIdentity) -> str:
    return f"{one.linked_at:020d}{one.identity_id}"


def _shown(one: KnownIdentity) -> f.Identity:
    return f.Identity(one.identity_id, one.provider_id, decoding.instant(one.linked_at))
