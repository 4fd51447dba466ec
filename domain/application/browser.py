"""Sessions in a browser: the session cookie and the CSRF token, both derived, neither stored."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Literal
from uuid import UUID

import msgspec

from gatebook.domain import session
from gatebook.domain.application.core import Gatebook
from gatebook.domain.application.maced import Maced
from gatebook.domain.errors import InvalidCredentials

Cause = Literal["idle_timeout", "absolute_timeout", "revoked"]


class BrowserSession(msgspec.Struct, frozen=True):
    """What a browser gets at a sign-in. `expires_in` in seconds."""

    cookie: str
    csrf_token: str
    expires_in: int
    account_id: UUID
    session_id: UUID
    device: str = ""


class Browser:
    """Makes and reads session cookies: `gbs_` and base64url of the session's id and its MAC."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app
        self._cookies = Maced(app, "gbs_", "session-cookie", 16)

    def session(self, session_id: UUID, account_id: UUID, expires_in: int) -> BrowserSession:
        """The cookie and the CSRF token of a session that was just opened."""
        return BrowserSession(
            cookie=self.cookie(session_id),
            csrf_token=self.csrf_token(session_id),
            expires_in=expires_in,
            account_id=account_id,
            session_id=session_id,
        )

    def cookie(self, session_id: UUID) -> str:
        """The session cookie."""
        return self._cookies.make(session_id.bytes)

    def csrf_token(self, session_id: UUID) -> str:
        """The CSRF token, bound to the session."""
        derived = self._app.keys.derive("csrf", session_id.bytes)
        return urlsafe_b64encode(derived).rstrip(b"=").decode()

    def open_cookie(self, presented: str) -> UUID:
        """The session of an authentic cookie. Raises InvalidCredentials."""
        public = self._cookies.open(presented)
        if public is None:
            raise InvalidCredentials("This session cookie was not issued here.")
        return UUID(bytes=public)

    def why_refused(self, session_id: UUID, now: int) -> Cause:
        """Why a session that does not count is refused, for whoever holds its cookie."""
        newest = self._app.event_log.last(session_id, 1)
        if newest and isinstance(newest[0].event, session.SessionEnded):
            return "idle_timeout" if newest[0].event.cause == "idle" else "revoked"
        state = self._app.session(session_id).state
        return "absolute_timeout" if state.live and now >= state.expires_at else "revoked"

    def matches_csrf(self, session_id: UUID, presented: str) -> bool:
        """Whether it is the session's CSRF token."""
        return hmac.compare_digest(self.csrf_token(session_id).encode(), presented.encode())
