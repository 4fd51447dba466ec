"""Devices that signed in before: a cookie that gives its bearer a counter of failures of his own.

Without it anybody who knows a name could keep its owner out (OWASP, "device cookies"). The cookie
proves nothing but that; it opens no session and is worth five guesses to a thief.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from gatebook.domain.application.core import Gatebook

_DEVICE = re.compile(r"gbd_[A-Za-z0-9_-]{86}", re.ASCII)
_ID_BYTES = 16


class Devices:
    """Makes and reads device cookies: `gbd_` and base64url of account, device and their MAC."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    def fresh(self, account_id: UUID) -> str:
        """A cookie for a device that just signed in."""
        return self._cookie(account_id.bytes + self._app.ids.secret(_ID_BYTES))

    def known(self, cookie: str | None, account_id: UUID) -> bytes | None:
        """The device's id, if the cookie is authentic and the account's; else None."""
        if cookie is None or _DEVICE.fullmatch(cookie) is None:
            return None
        public = urlsafe_b64decode(cookie[4:] + "==")[: 16 + _ID_BYTES]
        if not hmac.compare_digest(self._cookie(public), cookie):
            return None
        return public[16:] if public[:16] == account_id.bytes else None

    def _cookie(self, public: bytes) -> str:
        mac = self._app.keys.derive("device", public)
        return "gbd_" + urlsafe_b64encode(public + mac).rstrip(b"=").decode()
