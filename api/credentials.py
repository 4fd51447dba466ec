"""The credentials of an account: kinds and dates, never secrets."""

from __future__ import annotations

from gatebook.api import decoding, lists
from gatebook.api.accounts import existing
from gatebook.api.call import Call
from gatebook.api.passkey_schemas import AccountCredential
from gatebook.api.reply import Reply
from gatebook.api.schemas import Paging
from gatebook.domain.application.credentials import CredentialView


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/accounts/{account_id}/credentials"""
    existing(call, call.account_id)
    call.house.notice_erasures()
    found = call.house.credentials.views(call.account_id)
    return Reply(200, lists.short_page(call, "credentials", found, _key, _shown))


def remove(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/credentials/{credential_id}"""
    existing(call, call.account_id)
    call.house.credentials.remove(call.by(), call.account_id, call.path["credential_id"])
    return Reply(204)


def _key(view: CredentialView) -> str:
    return f"{view.credential.created_at:020d}{view.credential.credential_id}"


def _shown(view: CredentialView) -> AccountCredential:
    one = view.credential
    return AccountCredential(
        id=one.credential_id,
        kind=one.kind,
        created_at=decoding.instant(one.created_at),
        last_used_at=decoding.maybe_instant(view.last_used_at),
        expires_at=decoding.maybe_instant(one.expires_at),
        name=view.name,
    )
