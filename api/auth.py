"""Signing in, renewing, signing out; one's own account, password and sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from gatebook.api import cookies, sessions
from gatebook.api import credential_schemas as c
from gatebook.api.accounts import account_of
from gatebook.api.call import Call, remembered
from gatebook.api.codes import given_code
from gatebook.api.problems import Problem
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing
from gatebook.api.site import Site
from gatebook.domain.application.families import TokenPair
from gatebook.domain.application.logins import Attempt
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.errors import Forbidden, InvalidCredentials, Remembered

_SIGNED_IN = msgspec.json.Decoder(c.SignedIn)


def answer_of(site: Site, status: int, signed_in: SignedIn) -> Reply:
    """A sign-in as it is shown: tokens in the body, or a session in cookies."""
    device = cookies.of_device(site, signed_in.device)
    if isinstance(signed_in, TokenPair):
        body = c.SignedIn(
            account_id=signed_in.account_id,
            expires_in=signed_in.expires_in,
            access_token=signed_in.access_token,
            token_type=signed_in.token_type,
            refresh_token=signed_in.refresh_token,
        )
        return Reply(status, body, cookies=device)
    body = c.SignedIn(
        account_id=signed_in.account_id,
        expires_in=signed_in.expires_in,
        session_id=signed_in.session_id,
        csrf_token=signed_in.csrf_token,
    )
    return Reply(status, body, cookies=cookies.of_session(site, signed_in) + device)


def login(call: Call[c.Login, c.LoginQuery]) -> Reply:
    """POST /v1/auth/login"""
    body, house = call.body, call.house
    attempt = Attempt(
        name=body.username,
        plaintext=house.plaintext(body.password),
        delivery=call.delivery(browser=call.query.session == "cookie"),
        device=call.device,
        given=given_code(body.totp_code, body.recovery_code),
    )
    try:
        return call.command(
            lambda by: house.logins.login(by, attempt),
            lambda signed_in: answer_of(call.site, 200, signed_in),
        )
    except Remembered as before:
        _refuse_while_locked(call, before)
        raise


def _refuse_while_locked(call: Call[c.Login, c.LoginQuery], before: Remembered) -> None:
    """A lock holds for a repeated request too, or its key would be a way around the lock."""
    house = call.house
    account_id = _SIGNED_IN.decode(remembered(before).body).account_id
    counter = house.logins.counter_for(account_id, call.device)
    if house.tries.load(counter).state.locked(call.now):
        house.plaintext(call.body.password).matches(None)
        house.refused.count(account_id, counter.method, call.now)
        raise InvalidCredentials("The password is locked.")


def renew(call: Call[c.Renewal, None]) -> Reply:
    """POST /v1/auth/renew"""
    house, presented = call.house, call.body.refresh_token
    return call.command(
        lambda by: house.sessions.renew(by, presented, jkt=call.jkt),
        lambda pair: answer_of(call.site, 200, pair),
    )


def logout(call: Call[Nothing, c.LogoutQuery]) -> Reply:
    """POST /v1/auth/logout"""
    house, everywhere = call.house, call.query.all
    gone = cookies.cleared(call.site) if call.caller.kind == "session" else []
    return call.command(
        lambda by: house.sessions.logout(by, everywhere=everywhere),
        lambda _none: Reply(204, cookies=gone),
    )


NEWEST = 50
"""Sessions that `me` shows; /v1/auth/sessions lists more."""


def me(call: Call[None, None]) -> Reply:
    """GET /v1/auth/me"""
    caller, house = call.caller, call.house
    body = c.Me(
        account=account_of(house.accounts.view(caller.account_id, call.now)),
        roles=caller.roles,
        held_back=_held_back(call),
        permissions=sorted(caller.permissions),
        amr=caller.amr,
        acr=caller.acr,
        sessions=sessions.live_sessions(call, caller.account_id, NEWEST),
    )
    return Reply(200, body, cookies=_csrf_anew(call))


def _held_back(call: Call[Any, Any]) -> list[str]:
    """Roles that the account holds, but that count after a sign-in with two factors only."""
    caller, house = call.caller, call.house
    account = house.access.account(caller.account_id, call.now)
    waiting = set(account.roles if account is not None else ()) - set(caller.roles)
    return sorted(waiting & set(house.settings.sessions.mfa_required_for))


def _csrf_anew(call: Call[Any, Any]) -> list[str]:
    """The CSRF cookie of a session in a browser, whose page may have lost it."""
    caller = call.caller
    if caller.kind != "session" or caller.expires_at is None:
        return []
    token = call.house.sessions.browser.csrf_token(caller.id)
    seconds = max(1, (caller.expires_at - call.now) // 1_000_000)
    return [cookies.of_csrf(call.site, token, seconds)]


def change_password(call: Call[c.PasswordChange, None]) -> Reply:
    """PUT /v1/auth/password"""
    house, body = call.house, call.body
    reissued = house.passwords.change_password(
        call.by(),
        house.plaintext(body.current_password, "/current_password"),
        house.plaintext(body.new_password, "/new_password"),
    )
    return Reply(204, cookies=cookies.of_reissued(call.site, reissued))


def check(call: Call[None, c.CheckQuery]) -> Reply:
    """GET /v1/auth/check"""
    caller, query = call.caller, call.query
    if query.permission is not None and query.permission not in caller.permissions:
        raise Forbidden(query.permission)
    if query.role is not None and query.role not in caller.roles:
        raise Problem("forbidden", f"This needs the role {query.role}.")
    headers = {
        "Gatebook-Account": str(caller.account_id),
        "Gatebook-Username": quote(caller.username or "", safe="@ +"),
        "Gatebook-Roles": ",".join(caller.roles),
        "Gatebook-Assertion": call.house.tokens.assertion(caller, call.now),
    }
    return Reply(204, headers=headers)
