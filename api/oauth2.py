"""OAuth 2: tokens for clients, renewal, introspection, revocation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from gatebook.api import oauth2_clients, presented
from gatebook.api.call import Call
from gatebook.api.oauth2_clients import Identity
from gatebook.api.oauth2_errors import INVALID_REQUEST, OAuthError
from gatebook.api.oauth2_schemas import (
    Introspection,
    PresentedForm,
    TokenAnswer,
    TokenForm,
)
from gatebook.api.problems import Problem
from gatebook.api.reply import Reply
from gatebook.domain.access import Caller
from gatebook.domain.application.core import By
from gatebook.domain.application.families import CLIENT_ID, SECOND, TokenPair
from gatebook.domain.application.oauth import Asked
from gatebook.domain.application.tokens import IssuedToken
from gatebook.domain.errors import GrantRefused, InvalidCredentials
from gatebook.domain.ports import Claims
from gatebook.store.dpop import Request

F = TypeVar("F")

REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant
CLIENT_CREDENTIALS: Final = "client_credentials"
INACTIVE: Final = Introspection(active=False)


def token(call: Call[TokenForm, None]) -> Reply:
    """POST /oauth2/token"""
    match call.body.grant_type:
        case "client_credentials":
            return _client_credentials(call)
        case "refresh_token":
            return _renewal(call)
        case "":
            raise OAuthError(INVALID_REQUEST, "grant_type is missing.")
        case _:
            raise OAuthError(
                "unsupported_grant_type", "The grants are client_credentials and refresh_token."
            )


def _client_credentials(call: Call[TokenForm, None]) -> Reply:
    form, house = call.body, call.house
    client = oauth2_clients.confidential(call)
    asked = Asked(
        client_id=client.client_id,
        scope=form.scope,
        resources=tuple(form.resource),
        key_scope=client.key.scope if client.key is not None else "",
        jkt=call.jkt,
    )
    try:
        return _as(call, client).command(
            lambda by: house.oauth.grant(by, asked), _issued, client.by(call)
        )
    except GrantRefused as refusal:
        raise OAuthError(refusal.error, refusal.detail) from refusal
    except InvalidCredentials:
        oauth2_clients.refuse()


def _issued(issued: IssuedToken) -> Reply:
    body = TokenAnswer(issued.token, issued.token_type, issued.expires_in, scope=issued.scope)
    return Reply(200, body)


def _renewal(call: Call[TokenForm, None]) -> Reply:
    """The tokens of a sign-in are the public client's: no other may renew them."""
    form, house = call.body, call.house
    if oauth2_clients.identify(call) is not None:
        raise OAuthError("invalid_grant", "The refresh token is another client's.")
    if not form.refresh_token:
        raise OAuthError(INVALID_REQUEST, "refresh_token is missing.")
    if form.scope:
        raise OAuthError("invalid_scope", "The refresh token has no such scope.")
    if form.resource not in ([], [house.settings.audience]):
        raise OAuthError("invalid_target", "The refresh token is for another resource.")
    try:
        return call.command(
            lambda by: house.sessions.renew(by, form.refresh_token, jkt=call.jkt), _renewed
        )
    except InvalidCredentials as refusal:
        raise OAuthError("invalid_grant", "The refresh token does not count.") from refusal


def _renewed(pair: TokenPair) -> Reply:
    body = TokenAnswer(pair.access_token, pair.token_type, pair.expires_in, pair.refresh_token)
    return Reply(200, body)


def introspect(call: Call[PresentedForm, None]) -> Reply:
    """POST /oauth2/introspect. Appends nothing, and gives no reason."""
    _check_asker(call)
    text, house, now = _presented(call), call.house, call.now
    key = presented.live_key(house, text, now)
    if key is not None:
        return Reply(200, _shown(presented.key_claims(house, key), key, "Bearer"))
    found = presented.live(house, text, now)
    if found is not None:
        claims, caller = found
        return Reply(200, _shown(claims, caller, "DPoP" if caller.jkt else "Bearer"))
    return Reply(200, _refresh_token(call, text))


def _check_asker(call: Call[PresentedForm, None]) -> None:
    """A client, or whoever has a token of his own. Raises OAuthError."""
    header = call.authorization
    if header is None or not header.lower().startswith("bearer"):
        oauth2_clients.confidential(call)
        return
    if call.body.client_secret or call.body.client_assertion:
        raise OAuthError(INVALID_REQUEST, "There is more than one authentication.")
    try:
        presented.by_header(call.house, header, None, Request("POST", ""), call.now)
    except Problem as problem:
        raise OAuthError(
            "invalid_token", "The bearer token does not count.", status=401, headers=problem.headers
        ) from problem


def _presented(call: Call[PresentedForm, None]) -> str:
    if not call.body.token:
        raise OAuthError(INVALID_REQUEST, "token is missing.")
    return call.body.token


def _shown(claims: Claims | presented.KeyClaims, caller: Caller, token_type: str) -> Introspection:
    return Introspection(
        active=True,
        scope=claims.scope,
        client_id=claims.client_id,
        username=caller.username or "",
        token_type=token_type,
        exp=claims.exp,
        iat=claims.iat,
        nbf=claims.nbf,
        sub=claims.sub,
        aud=claims.aud,
        iss=claims.iss,
        jti=claims.jti,
        cnf={"jkt": caller.jkt} if caller.jkt else {},
    )


def _refresh_token(call: Call[Any, Any], text: str) -> Introspection:
    """Its token_type tells it from an access token: no resource server takes it for one."""
    standing = call.house.oauth.standing(text, call.now)
    if standing is None:
        return INACTIVE
    _session_id, state = standing
    assert state.account_id is not None  # a session that lives is somebody's
    live = call.house.access.account(state.account_id, call.now)
    return Introspection(
        active=True,
        client_id=CLIENT_ID,
        username=(live.username or "") if live is not None else "",
        token_type=REFRESH_TOKEN,
        exp=state.expires_at // SECOND,
        sub=str(state.account_id),
        aud=call.house.settings.issuer,
        iss=call.house.settings.issuer,
        cnf={"jkt": state.jkt} if state.jkt else {},
    )


def revoke(call: Call[PresentedForm, None]) -> Reply:
    """POST /oauth2/revoke. What is unknown or has ended is no error (RFC 7009, 2.2)."""
    client = oauth2_clients.identify(call)
    give_up = _giving_up(call, client, _presented(call))
    if give_up is None:
        return Reply(200)
    if client is None:
        return call.command(give_up, lambda _none: Reply(200))
    return _as(call, client).command(give_up, lambda _none: Reply(200), client.by(call))


def _giving_up(
    call: Call[Any, Any], client: Identity | None, text: str
) -> Callable[[By], None] | None:
    """The command that ends what is presented; None when there is nothing to end."""
    oauth = call.house.oauth
    key = presented.live_key(call.house, text, call.now)
    if key is not None:
        _check_owner(client, str(key.account_id))
        return partial(oauth.give_up_api_key, key_id=key.id)
    found = presented.live(call.house, text, call.now)
    if found is not None:
        claims, caller = found
        _check_owner(client, claims.client_id)
        return partial(oauth.give_up_token, caller=caller)
    if client is None:
        return partial(oauth.give_up_refresh_token, refresh_token=text)
    if oauth.standing(text, call.now) is not None:
        _check_owner(client, CLIENT_ID)
    return None


def _check_owner(client: Identity | None, client_id: str) -> None:
    """The public client gives up by possession what is its own, a confidential one what is its."""
    mine = CLIENT_ID if client is None else str(client.client_id)
    if mine != client_id:
        raise OAuthError("invalid_grant", "The token was issued to another client.")


def _as(call: Call[F, None], client: Identity) -> Call[F, None]:
    """An Idempotency-Key is the client's own: its secret need not be in the body."""
    if call.retry is None:
        return call
    retry = msgspec.structs.replace(call.retry, caller=client.client_id.bytes)
    return msgspec.structs.replace(call, retry=retry)
