"""Who calls: from what a request shows to an account's live access.

An Authorization header decides if there is one; else the session cookie does, and then an unsafe
method needs the session's CSRF token too.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from gatebook.api import presented
from gatebook.api.problems import Problem, unauthenticated
from gatebook.api.route import Need
from gatebook.domain.access import Caller
from gatebook.domain.application.browser import Browser
from gatebook.domain.errors import Forbidden, InvalidCredentials
from gatebook.domain.permissions import ALL
from gatebook.store.dpop import Request
from gatebook.store.house import House, system

NOBODY: Final = UUID(int=0)
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MINUTE: Final = 60 * 1_000_000


class Shown(msgspec.Struct, frozen=True):
    """All of a request that says who calls. `url` is without query, as DPoP proofs name it."""

    method: str
    url: str
    authorization: str | None = None
    session_cookie: str | None = None
    csrf_token: str | None = None
    csrf_cookie: str | None = None
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    dpop: str | None = None


def authenticate(house: House, shown: Shown, now: int, *, operator: str | None = None) -> Caller:
    """The caller. Raises a Problem, the same for every cause."""
    if operator is not None:
        return _at_the_console(operator, now)
    if shown.authorization is None and shown.session_cookie is not None:
        return _by_cookie(house, shown, shown.session_cookie, now)
    about = Request(shown.method, shown.url)
    return presented.by_header(house, shown.authorization, shown.dpop, about, now)


def _by_cookie(house: House, shown: Shown, cookie: str, now: int) -> Caller:
    browser = house.sessions.browser
    try:
        session_id = browser.open_cookie(cookie)
    except InvalidCredentials:
        raise unauthenticated("invalid_token") from None
    caller = house.access.caller("session", session_id, now)
    if caller is None:
        raise unauthenticated(browser.why_refused(session_id, now))
    _check_idle(house, caller, now)
    if shown.method not in SAFE:
        _check_csrf(browser, session_id, shown)
    house.activity.seen(session_id, now, idle_granularity(caller.idle or 0))
    return caller


def idle_granularity(idle: int) -> int:
    """How exactly uses are noted, so that few cost a write. Microseconds.

    A session that is used now and then may end by so much earlier than `idle`, never later.
    """
    return min(MINUTE, idle // 10)


def is_idle(caller_idle: int | None, opened_at: int, last_used: int | None, now: int) -> bool:
    """Whether a session went unused for too long. Microseconds."""
    return caller_idle is not None and now - max(opened_at, last_used or 0) >= caller_idle


def _check_idle(house: House, caller: Caller, now: int) -> None:
    if is_idle(caller.idle, caller.opened_at, house.activity.last(caller.id), now):
        house.sessions.end_idle(system(), caller.id)
        raise unauthenticated("idle_timeout")


def _check_csrf(browser: Browser, session_id: UUID, shown: Shown) -> None:
    """What no page of another site can send: the session's token, from a page of this one."""
    token = shown.csrf_token or ""
    if not browser.matches_csrf(session_id, token):
        raise Problem("csrf", "Send as X-CSRF-Token what the CSRF cookie of this session holds.")
    if shown.csrf_cookie is not None and shown.csrf_cookie != token:
        raise Problem("csrf", "X-CSRF-Token and the CSRF cookie differ.")
    check_origin(shown)


def check_site(shown: Shown) -> None:
    """Raises a Problem for an unsafe request that a browser says another site's page sends."""
    if shown.method not in SAFE and shown.fetch_site == "cross-site":
        raise Problem("csrf", "The request comes from a page of another site.")


def check_origin(shown: Shown) -> None:
    """Raises a Problem for an unsafe request that a page of another site or origin sends."""
    if shown.method in SAFE:
        return
    if shown.fetch_site not in (None, "same-origin", "none"):
        raise Problem("csrf", "The request comes from a page of another site.")
    if shown.origin is not None and not _is_own(shown.origin, shown):
        raise Problem("csrf", "The request comes from a page of another origin.")


def _is_own(origin: str, shown: Shown) -> bool:
    """Whether a page of this server sent it: under its public URL, or the host that it called.

    A browser lets no page choose the Host header, so what it names is not taken on trust.
    """
    own = urlsplit(shown.url)
    if origin == f"{own.scheme}://{own.netloc}":
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and bool(host) and host == shown.host


def permit(need: Need, method: str, principal: Caller, account_id: UUID | None) -> None:
    """Raises Forbidden, or a Problem, unless the caller holds what the route needs.

    Whether another's account exists is not asked: the answer is the same either way. A scope names
    all that its bearer may do, on his own account too: a narrow key must not make a broad one, and
    neither sign anybody out nor give him another factor.
    """
    if need.kind == "signed" and method not in SAFE:
        if principal.scope:
            raise Problem("forbidden", "The scope of this token or key does not reach so far.")
        if principal.kind == "api-key":
            raise Problem("forbidden", "This is for who signed in, not for an API key.")
    if need.kind == "own" and account_id == principal.account_id and not principal.scope:
        return
    if need.kind in ("own", "permission") and need.permission not in principal.permissions:
        raise Forbidden(need.permission)


def _at_the_console(operator: str, now: int) -> Caller:
    """Somebody at the command line of this machine: no account, and every permission."""
    return Caller(
        kind="local",
        id=NOBODY,
        account_id=NOBODY,
        username=operator,
        account_kind="local",
        session_id=None,
        epoch=0,
        roles=[],
        permissions=ALL,
        amr=[],
        acr="",
        auth_time=None,
        expires_at=now,
        kid="",
        audience="",
        scope="",
        jkt="",
        origin="",
        opened_at=now,
        idle=None,
    )
