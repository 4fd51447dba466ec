"""Sessions listed and ended: one's own, and an account's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from gatebook.api import cookies, decoding, lists
from gatebook.api.accounts import existing
from gatebook.api.authentication import is_idle
from gatebook.api.call import Call
from gatebook.api.credential_schemas import Session
from gatebook.api.past import stood
from gatebook.api.past_schemas import PastPaging
from gatebook.api.problems import invalid
from gatebook.api.reply import Reply
from gatebook.api.schemas import Paging
from gatebook.api.session_schemas import OthersQuery
from gatebook.projections.access_view import MOST, LiveSession
from gatebook.store.past import SIGN_INS


def own_sessions(call: Call[None, Paging]) -> Reply:
    """GET /v1/auth/sessions"""
    return _listed(call, call.caller.account_id)


def end_own_session(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/sessions/{session_id}"""
    caller, session_id = call.caller, call.path["session_id"]
    call.house.sessions.end(call.by(), caller.account_id, session_id)
    this_one = caller.kind == "session" and caller.session_id == session_id
    return Reply(204, cookies=cookies.cleared(call.site) if this_one else [])


def end_others(call: Call[None, OthersQuery]) -> Reply:
    """DELETE /v1/auth/sessions?others=true"""
    if not call.query.others:
        raise invalid("Say others=true: this ends every session but the one that asks.", "/others")
    call.house.sessions.end_others(call.by())
    return Reply(204)


def sessions_of(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/accounts/{account_id}/sessions, those that live now or lived then"""
    existing(call, call.account_id)
    with stood(call, SIGN_INS, [call.account_id]) as then:
        if then.past is None:
            return _listed(call, call.account_id)
        # When a browser was last used is not in the log: then idleness ends nothing.
        found = then.access.sessions_of(call.account_id, then.at)
    shown = lists.short_page(call, "sessions", found, _key, lambda one: _shown(call, one))
    return Reply(200, shown, then.headers)


def end_session(call: Call[None, None]) -> Reply:
    """DELETE /v1/accounts/{account_id}/sessions/{session_id}"""
    existing(call, call.account_id)
    call.house.sessions.end(call.by(), call.account_id, call.path["session_id"])
    return Reply(204)


def live_sessions(call: Call[Any, Any], account_id: UUID, most: int = MOST) -> list[Session]:
    """An account's newest sessions that count now, oldest of them first."""
    return [_shown(call, one) for one in _live(call, account_id, most)]


def _listed(call: Call[None, Paging] | Call[None, PastPaging], account_id: UUID) -> Reply:
    found = _live(call, account_id, MOST)
    return Reply(200, lists.short_page(call, "sessions", found, _key, lambda s: _shown(call, s)))


def _live(call: Call[Any, Any], account_id: UUID, most: int) -> list[LiveSession]:
    """Without those that were not used for too long, which end when they are shown next."""
    found = call.house.access.sessions_of(account_id, call.now, most=most)
    browsers = [one.session_id for one in found if one.idle is not None]
    used = call.house.activity.lasts(browsers) if browsers else {}
    return [
        one
        for one in found
        if not is_idle(one.idle, one.opened_at, used.get(one.session_id), call.now)
    ]


def _key(session: LiveSession) -> str:
    return f"{session.opened_at:020d}{session.session_id}"


def _shown(call: Call[Any, Any], one: LiveSession) -> Session:
    return Session(
        id=one.session_id,
        origin=one.origin,
        amr=one.amr,
        opened_at=decoding.instant(one.opened_at),
        renewed_at=decoding.instant(one.renewed_at),
        expires_at=decoding.instant(one.expires_at),
        current=call.caller.session_id == one.session_id,
    )
