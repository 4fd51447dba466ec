"""What a browser carries from the start of a federated sign-in to its end: sealed, for ten minutes.

Nothing is kept here, so nobody can make it grow. What makes it single-use is the mark that stands
in the same append as the session it opens.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain.ports import Clock, Ids
from gatebook.store.keyring import Keyring
from gatebook.store.master_key import KeyringDamaged

LIFETIME: Final = 600
"""Seconds."""

LONGEST: Final = 4096
_NAME: Final = "purpose:pre-login"
_BOUND: Final = b"gatebook pre-login 1"


class PreLogin(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in that was begun. `client` is a keyed hash of the browser and its address."""

    provider_id: UUID
    state: str
    nonce: str
    verifier: str
    return_to: str
    client: bytes
    ends_at: int


class PreLogins:
    """Seals and opens them."""

    def __init__(self, keyring: Keyring, clock: Clock, ids: Ids) -> None:
        self._keyring = keyring
        self._clock = clock
        self._ids = ids

    def begin(
        self, provider_id: UUID, *, return_to: str, address: str, user_agent: str
    ) -> tuple[PreLogin, str]:
        """A sign-in to come, and the cookie that says so."""
        pre_login = PreLogin(
            provider_id=provider_id,
            state=self._random(),
            nonce=self._random(),
            verifier=self._random(),
            return_to=return_to,
            client=self.client(address, user_agent),
            ends_at=self._clock.now() + LIFETIME * 1_000_000,
        )
        self._keyring.create_named(_NAME)
        sealed = self._keyring.seal(_NAME, msgspec.msgpack.encode(pre_login), _BOUND)
        return pre_login, _encoded(sealed)

    def open(self, cookie: str | None) -> PreLogin | None:
        """What a cookie holds; None for one that was not sealed here. Its age is not asked."""
        if cookie is None or len(cookie) > LONGEST or not cookie.isascii():
            return None
        try:
            raw = urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
            if _encoded(raw) != cookie:  # Python reads other spellings of the same bytes, too
                return None
            opened = self._keyring.open(_NAME, raw, _BOUND)
            return None if opened is None else msgspec.msgpack.decode(opened, type=PreLogin)
        except (ValueError, KeyringDamaged, msgspec.MsgspecError):
            return None

    def client(self, address: str, user_agent: str) -> bytes:
        """A keyed hash of who holds the browser, as far as a request tells."""
        return self._keyring.derive("pre-login-client", address.encode(), user_agent.encode())[:16]

    def _random(self) -> str:
        """256 bits, in 43 characters (RFC 7636, section 4.1)."""
        return _encoded(self._ids.secret(32))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
