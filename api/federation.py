"""Signing in with an identity provider: out, back, and being signed out from there.

The browser is told one thing whatever went wrong; the log has the precise reason.
"""

from __future__ import annotations

import hmac
from typing import Any, Final
from urllib.parse import urlencode

from gatebook.api import cookies
from gatebook.api import federation_schemas as f
from gatebook.api.auth import answer_of
from gatebook.api.call import Call
from gatebook.api.oauth2_errors import INVALID_REQUEST, OAuthError
from gatebook.api.problems import Problem
from gatebook.api.providers import CALLBACK, party_of
from gatebook.api.reply import Reply
from gatebook.api.return_to import LOGIN_PAGE, local_path
from gatebook.domain.application.federation import Arrival
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.errors import Conflict, NotFound, Overloaded, StoreUnavailable
from gatebook.domain.federated_claims import FederationRefused
from gatebook.store.pre_login import LIFETIME, PreLogin

FAILED: Final = "sign-in-failed"
CANCELLED: Final = "cancelled"


def login(call: Call[None, f.LoginQuery]) -> Reply:
    """GET /auth/oidc/login"""
    return_to = local_path(call.query.return_to)
    provider_id = call.query.provider
    party = party_of(call, provider_id)
    if not party.configuration.enabled:
        raise Problem("forbidden", "This provider is switched off.")
    pre_login, sealed = call.house.pre_logins.begin(
        provider_id,
        return_to=return_to,
        address=call.source.ip,
        user_agent=call.user_agent or "",
    )
    try:
        there = call.house.relying.authorization_url(
            party,
            redirect_uri=call.site.base_url + CALLBACK,
            state=pre_login.state,
            nonce=pre_login.nonce,
            verifier=pre_login.verifier,
        )
    except FederationRefused as refusal:
        return _refused(call, pre_login, refusal)
    kept = cookies.set_cookie(call.site, cookies.PRE_LOGIN, sealed, LIFETIME)
    return Reply(302, headers={"Location": there}, cookies=[kept])


def callback(call: Call[None, f.CallbackQuery]) -> Reply:
    """GET /auth/oidc/callback. The cookie of the sign-in is spent, whatever comes of it."""
    pre_login = call.house.pre_logins.open(call.cookie(cookies.PRE_LOGIN))
    try:
        signed_in = _arrived(call, pre_login)
    except FederationRefused as refusal:
        return _refused(call, pre_login, refusal)
    except NotFound:
        return _refused(call, pre_login, FederationRefused("provider_disabled"))
    except Conflict:
        return _refused(call, pre_login, FederationRefused("conflict"))
    assert pre_login is not None  # _arrived raises otherwise
    headers = {"Location": pre_login.return_to}
    kept = [*answer_of(call.site, 302, signed_in).cookies, _cleared(call)]
    return Reply(302, headers=headers, cookies=kept)


def _arrived(call: Call[None, f.CallbackQuery], pre_login: PreLogin | None) -> SignedIn:
    query, house = call.query, call.house
    if pre_login is None:
        raise FederationRefused("pre_login_missing")
    if call.now >= pre_login.ends_at:
        raise FederationRefused("pre_login_expired")
    client = house.pre_logins.client(call.source.ip, call.user_agent or "")
    if not hmac.compare_digest(client, pre_login.client):
        raise FederationRefused("pre_login_client_mismatch")
    if query.state is None or not hmac.compare_digest(
        query.state.encode(), pre_login.state.encode()
    ):
        raise FederationRefused("state_mismatch")
    party = party_of(call, pre_login.provider_id)
    if not party.configuration.enabled:
        raise FederationRefused("provider_disabled")
    house.relying.check_issuer(party, query.iss)
    if query.error is not None:
        raise FederationRefused(
            "access_denied" if query.error == "access_denied" else "provider_error",
            query.error[:100],
        )
    if query.code is None:
        raise FederationRefused("provider_error", "no code")
    # One exchange a sign-in: a cookie must not make any number of requests to the provider.
    spent = house.app.keys.derive("pre-login-exchange", pre_login.state.encode())
    if not house.seen.first(spent, pre_login.ends_at):
        raise FederationRefused("pre_login_spent")
    who = house.relying.sign_in(
        party,
        code=query.code,
        redirect_uri=call.site.base_url + CALLBACK,
        nonce=pre_login.nonce,
        verifier=pre_login.verifier,
    )
    arrival = Arrival(
        provider_id=pre_login.provider_id,
        federated=who,
        state=pre_login.state.encode(),
        delivery=call.delivery(browser=True),
    )
    return house.federation.sign_in(call.by(), arrival)


def _refused(call: Call[Any, Any], pre_login: PreLogin | None, refusal: FederationRefused) -> Reply:
    provider_id = pre_login.provider_id if pre_login is not None else None
    call.house.federation.refused(call.by(), provider_id, refusal)
    told = CANCELLED if refusal.reason == "access_denied" else FAILED
    there = f"{LOGIN_PAGE}?{urlencode({'error': told})}"
    return Reply(302, headers={"Location": there}, cookies=[_cleared(call)])


def _cleared(call: Call[Any, Any]) -> str:
    return cookies.set_cookie(call.site, cookies.PRE_LOGIN, "", 0)


def back_channel_logout(call: Call[f.LogoutForm, None]) -> Reply:
    """POST /auth/oidc/back-channel-logout"""
    house, token = call.house, call.body.logout_token
    try:
        provider_id = house.relying.addressee(token, house.providers.all())
        party = party_of(call, provider_id)
        claims = house.relying.logout(party, token)
    except NotFound as error:
        raise OAuthError(INVALID_REQUEST, "The logout token is not valid.") from error
    except FederationRefused as refusal:
        if refusal.reason in ("discovery_failed", "jwks_unreachable"):
            raise StoreUnavailable("The provider's keys cannot be fetched now.") from refusal
        raise OAuthError(INVALID_REQUEST, "The logout token is not valid.") from refusal
    try:
        house.federation.logout(
            call.by(),
            provider_id,
            jti=claims["jti"],
            sub=claims.get("sub", ""),
            sid=claims.get("sid", ""),
        )
    except Conflict as error:
        raise Overloaded("Others changed the same sessions. Try again.", 1) from error
    return Reply(200)
