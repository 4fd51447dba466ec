"""Opaque values that need no storage: what they say, and a keyed MAC of it.

Cookies, refresh tokens and the like are one form: a prefix that names the kind, then base64url of
the public bytes and their HMAC-SHA-256 under the kind's own key. There is one spelling of each.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from gatebook.domain.application.core import Gatebook

_MAC_BYTES = 32


class Maced:
    """One kind: its prefix, the purpose of its key, and how many public bytes it has."""

    def __init__(self, app: Gatebook, prefix: str, purpose: str, size: int) -> None:
        self._app = app
        self._prefix = prefix
        self._purpose = purpose
        self._size = size
        length = (8 * (size + _MAC_BYTES) + 5) // 6
        self._form = re.compile(rf"{prefix}[A-Za-z0-9_-]{{{length}}}", re.ASCII)

    def make(self, public: bytes) -> str:
        """The value that says these bytes."""
        mac = self._app.keys.derive(self._purpose, public)
        return self._prefix + urlsafe_b64encode(public + mac).rstrip(b"=").decode()

    def open(self, presented: str) -> bytes | None:
        """What an authentic value says; None for any other, and for any other spelling of it."""
        if self._form.fullmatch(presented) is None:
            return None
        public = urlsafe_b64decode(presented[len(self._prefix) :] + "==")[: self._size]
        return public if hmac.compare_digest(self.make(public), presented) else None
