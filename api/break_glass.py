"""Break-glass: the emergency sign-in, and its credentials. Served only while it is enabled."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from gatebook.api import cookies, decoding, lists
from gatebook.api.break_glass_schemas import (
    EmergencyCredential,
    EmergencyLogin,
    NewEmergencyCredential,
)
from gatebook.api.call import Call
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing, Paging
from gatebook.domain.application.break_glass import EmergencySignIn, SetCredential
from gatebook.domain.errors import InvalidValue
from gatebook.projections.break_glass import ListedCredential


def login(call: Call[EmergencyLogin | None, None]) -> Reply:
    """POST /auth/breakglass/login. What cannot be read takes the way of what is wrong."""
    body, house = call.body, call.house
    try:
        named = "" if body is None else body.account_id
        plaintext = house.plaintext("" if body is None else body.password)
    except InvalidValue:
        named, plaintext = "", house.plaintext("")
    sign_in = EmergencySignIn(
        named=named, account_id=uuid_of(named), plaintext=plaintext, held=call.session_cookie
    )
    session = house.break_glass.login(call.by(), sign_in)
    return Reply(204, cookies=cookies.of_session(call.site, session))


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/auth/breakglass/credentials"""
    found = call.house.access.break_glass(call.now)
    page = lists.short_page(call, "break-glass", found, lambda one: str(one.account_id), _shown)
    return Reply(200, page)


def set_password(call: Call[NewEmergencyCredential, None]) -> Reply:
    """POST /v1/auth/breakglass/credentials"""
    house, body = call.house, call.body
    plaintext = house.plaintext(body.password)
    return call.command(
        lambda by: house.break_glass.set_password(by, body.account_id, plaintext),
        lambda found: Reply(201, _just_set(found)),
    )


def unlock(call: Call[Nothing, None]) -> Reply:
    """POST /v1/auth/breakglass/credentials/{account_id}/unlock"""
    call.house.break_glass.unlock(call.by(), call.account_id)
    return Reply(204)


def remove(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/breakglass/credentials/{account_id}"""
    call.house.break_glass.remove(call.by(), call.account_id)
    return Reply(204)


def uuid_of(named: str) -> UUID | None:
    """The id, in the one form that the API writes."""
    try:
        found = UUID(named)
    except ValueError:
        return None
    return found if str(found) == named.lower() else None


def _just_set(found: SetCredential) -> EmergencyCredential:
    return _shown(
        ListedCredential(
            account_id=found.account_id,
            username=found.username,
            set_at=found.set_at,
            expires_at=found.expires_at,
            once=found.once,
            last_used_at=None,
            locked_until=None,
        )
    )


def _shown(one: ListedCredential) -> EmergencyCredential:
    return EmergencyCredential(
        account_id=one.account_id,
        username=one.username,
        set_at=decoding.instant(one.set_at),
        expires_at=_instant(one.expires_at),
        once=one.once,
        last_used_at=_instant(one.last_used_at),
        locked_until=_instant(one.locked_until),
    )


def _instant(at: int | None) -> datetime | None:
    return None if at is None else decoding.instant(at)
