"""Access tokens: validate, issue, list, revoke."""

from __future__ import annotations

import msgspec

from gatebook.api import decoding, lists, presented
from gatebook.api.accounts import existing
from gatebook.api.call import Call
from gatebook.api.credential_schemas import (
    Issued,
    ListedToken,
    Presented,
    TokenAccount,
    TokenClaims,
    TokenOrder,
    Verdict,
)
from gatebook.api.past import stood
from gatebook.api.past_schemas import PastPaging
from gatebook.api.presented import KeyClaims
from gatebook.api.reply import Reply
from gatebook.domain.access import Caller
from gatebook.domain.application.tokens import IssuedToken
from gatebook.domain.ports import Claims
from gatebook.projections import access_view
from gatebook.store.past import SIGN_INS


def validate(call: Call[Presented, None]) -> Reply:
    """POST /v1/token/validate. Appends nothing, and gives no reason."""
    house, token = call.house, call.body.token
    key = presented.live_key(house, token, call.now)
    if key is not None:
        return Reply(200, _verdict(presented.key_claims(house, key), key))
    found = presented.live(house, token, call.now)
    return Reply(200, Verdict(valid=False) if found is None else _verdict(*found))


def _verdict(claims: Claims | KeyClaims, live: Caller) -> Verdict:
    """The roles are those in force now, whatever the token says."""
    said = msgspec.structs.asdict(claims) | {"roles": live.roles}
    return Verdict(
        valid=True,
        claims=TokenClaims(**said),
        account=TokenAccount(live.account_id, live.username, live.roles),
    )


def issue(call: Call[TokenOrder, None]) -> Reply:
    """POST /v1/token/issue"""
    body, tokens = call.body, call.house.tokens
    return call.command(
        lambda by: tokens.issue(
            by,
            body.account_id,
            expires_in=body.expires_in,
            scope=body.scope,
            audience=body.audience,
        ),
        _issued,
    )


def _issued(issued: IssuedToken) -> Reply:
    body = Issued(
        access_token=issued.token,
        token_type=issued.token_type,
        expires_in=issued.expires_in,
        jti=issued.jti,
        account_id=issued.account_id,
    )
    return Reply(201, body)


def browse(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/accounts/{account_id}/tokens, those that count now or counted then"""
    existing(call, call.account_id)
    with stood(call, SIGN_INS, [call.account_id]) as then:
        found = then.access.tokens_of(call.account_id, then.at)
    audience = call.house.settings.audience

    def shown(one: access_view.ListedToken) -> ListedToken:
        return ListedToken(
            jti=one.jti,
            session_id=one.session_id,
            kid=one.kid,
            issued_at=decoding.instant(one.issued_at),
            expires_at=decoding.instant(one.expires_at),
            audience=one.audience or audience,
            scope=one.scope,
        )

    return Reply(200, lists.short_page(call, "tokens", found, _key, shown), then.headers)


def _key(one: access_view.ListedToken) -> str:
    return f"{one.issued_at:020d}{one.jti}"


def revoke(call: Call[None, None]) -> Reply:
    """DELETE /v1/token/{jti}"""
    call.house.tokens.revoke(call.by(), call.path["jti"])
    return Reply(204)


def revoke_all(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/tokens"""
    call.house.tokens.revoke_all(call.by(), call.account_id)
    return Reply(204)
