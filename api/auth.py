"""Signing in, renewing, signing out; one's own account, password and sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from gatebook.api import decoding, lists
from gatebook.api.accounts import account_of, existing
from gatebook.api.call import Call, remembered
from gatebook.api.credential_schemas import (
    CheckQuery,
    Login,
    LogoutQuery,
    Me,
    Pair,
    PasswordChange,
    Renewal,
    Session,
)
from gatebook.api.problems import Problem
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing, Paging
from gatebook.domain.application.tokens import TokenPair
from gatebook.domain.errors import Forbidden, InvalidCredentials, Remembered
from gatebook.projections.access_view import LiveSession

_PAIR = msgspec.json.Decoder(Pair)


def pair_of(status: int, pair: TokenPair) -> Reply:
    """A pair as it is shown."""
    body = Pair(
        access_token=pair.access_token,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token,
        account_id=pair.account_id,
    )
    return Reply(status, body)


def login(call: Call[Login, None]) -> Reply:
    """POST /v1/auth/login"""
    body, house = call.body, call.house
    plaintext = house.plaintext(body.password)
    try:
        return call.command(
            lambda by: house.logins.login(by, body.username, plaintext),
            lambda pair: pair_of(200, pair),
        )
    except Remembered as before:
        _refuse_while_locked(call, before)
        raise


def _refuse_while_locked(call: Call[Login, None], before: Remembered) -> None:
    """A lock holds for a repeated request too, or its key would be a way around the lock."""
    pair = _PAIR.decode(remembered(before).body)
    tries = call.house.passwords.load_attempts(pair.account_id)
    if tries.state.locked(call.now):
        call.house.plaintext(call.body.password).matches(None)
        call.house.app.refusals.count(pair.account_id.bytes, call.now)
        raise InvalidCredentials("The password is locked.")


def renew(call: Call[Renewal, None]) -> Reply:
    """POST /v1/auth/renew"""
    tokens, presented = call.house.tokens, call.body.refresh_token
    return call.command(lambda by: tokens.renew(by, presented), lambda pair: pair_of(200, pair))


def logout(call: Call[Nothing, LogoutQuery]) -> Reply:
    """POST /v1/auth/logout"""
    logins, everywhere = call.house.logins, call.query.all
    return call.command(
        lambda by: logins.logout(by, everywhere=everywhere), lambda _none: Reply(204)
    )


NEWEST = 50
"""Sessions that `me` shows; /v1/auth/sessions lists more."""


def me(call: Call[None, None]) -> Reply:
    """GET /v1/auth/me"""
    caller, house = call.caller, call.house
    sessions = house.access.sessions_of(caller.account_id, call.now, most=NEWEST)
    body = Me(
        account=account_of(house.accounts.view(caller.account_id, call.now)),
        roles=caller.roles,
        permissions=sorted(caller.permissions),
        amr=caller.amr,
        sessions=[_session(call, one) for one in sessions],
    )
    return Reply(200, body)


def change_password(call: Call[PasswordChange, None]) -> Reply:
    """PUT /v1/auth/password"""
    house, body = call.house, call.body
    house.passwords.change_password(
        call.by(),
        house.plaintext(body.current_password, "/current_password"),
        house.plaintext(body.new_password, "/new_password"),
    )
    return Reply(204)


def check(call: Call[None, CheckQuery]) -> Reply:
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
    }
    return Reply(204, headers=headers)


def own_sessions(call: Call[None, Paging]) -> Reply:
    """GET /v1/auth/sessions"""
    found = call.house.access.sessions_of(call.caller.account_id, call.now)
    return Reply(200, lists.short_page(call, "sessions", found, _key, lambda s: _session(call, s)))


def end_own_session(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/sessions/{session_id}"""
    call.house.logins.end_session(call.by(), call.caller.account_id, call.path["session_id"])
    return Reply(204)


def sessions_of(call: Call[None, Paging]) -> Reply:
    """GET /v1/accounts/{account_id}/sessions"""
    existing(call, call.account_id)
    found = call.house.access.sessions_of(call.account_id, call.now)
    return Reply(200, lists.short_page(call, "sessions", found, _key, lambda s: _session(call, s)))


def end_session(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/sessions/{session_id}"""
    existing(call, call.account_id)
    call.house.logins.end_session(call.by(), call.account_id, call.path["session_id"])
    return Reply(204)


def _key(session: LiveSession) -> str:
    return f"{session.opened_at:020d}{session.session_id}"


def _session(call: Call[Any, Any], one: LiveSession) -> Session:
    ends = one.refresh_expires_at
    return Session(
        id=one.session_id,
        amr=one.amr,
        opened_at=decoding.instant(one.opened_at),
        renewed_at=decoding.instant(one.renewed_at),
        expires_at=decoding.instant(min(ends, one.expires_at or ends)),
        current=call.caller.session_id == one.session_id,
    )
