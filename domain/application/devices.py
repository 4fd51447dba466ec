"""Devices that signed in before: a cookie that gives its bearer a counter of failures of his own.

Without it anybody who knows a name could keep its owner out (OWASP, "device cookies"). The cookie
proves nothing but that; it opens no session and is worth five guesses to a thief.
"""

from __future__ import annotations

from uuid import UUID

from gatebook.domain.application.core import Gatebook
from gatebook.domain.application.maced import Maced

_ID_BYTES = 16


class Devices:
    """Makes and reads device cookies: `gbd_` and base64url of account, device and their MAC."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app
        self._cookies = Maced(app, "gbd_", "device", 16 + _ID_BYTES)

    def fresh(self, account_id: UUID) -> str:
        """A cookie for a device that just signed in."""
        return self._cookies.make(account_id.bytes + self._app.ids.secret(_ID_BYTES))

    def known(self, cookie: str | None, account_id: UUID) -> bytes | None:
        """The device's id, if the cookie is authentic and the account's; else None."""
        public = None if cookie is None else self._cookies.open(cookie)
        if public is None or public[:16] != account_id.bytes:
            return None
        return public[16:]
