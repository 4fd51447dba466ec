"""Challenges of passkey ceremonies: stateless until they are answered, answered once."""

from __future__ import annotations

import hmac
from typing import Literal
from uuid import UUID

from gatebook.domain import passkey
from gatebook.domain.application.core import Gatebook, Loaded
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.passkey import PasskeyChallengeSpent

Purpose = Literal["register", "login", "second-factor"]

LIFETIME = 600 * 1_000_000
"""Microseconds (WebAuthn, section 13.4.3: challenges do not live long)."""

_RANDOM, _TIME, _MAC = 16, 8, 32


class PasskeyChallenges:
    """Makes, reads and spends challenges: randomness, an end, and the MAC of what they are for.

    A challenge counts for one purpose in one place: the session that registers, the sign-in that
    waits for its second factor, or nothing yet.
    """

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    def fresh(self, purpose: Purpose, bound: UUID | None, now: int) -> bytes:
        """A challenge to send out. Nothing is stored."""
        public = self._app.ids.secret(_RANDOM) + (now + LIFETIME).to_bytes(_TIME, "big")
        return public + self._mac(public, purpose, bound)

    def spend(
        self, challenge: bytes, purpose: Purpose, bound: UUID | None, account_id: UUID, now: int
    ) -> list[Entry]:
        """The entry that spends a challenge: a stream's first event, so there is one at most.

        Raises InvalidCredentials for one that was not made for this, is over, or was answered.
        """
        public, mac = challenge[:-_MAC], challenge[-_MAC:]
        if len(public) != _RANDOM + _TIME or not hmac.compare_digest(
            mac, self._mac(public, purpose, bound)
        ):
            raise InvalidCredentials("The challenge was not given out for this.")
        if now >= int.from_bytes(public[_RANDOM:], "big"):
            raise InvalidCredentials("The challenge is over.")
        stream_id = passkey.challenge_id(challenge)
        if self._app.version(stream_id):
            raise InvalidCredentials("The challenge was answered before.")
        spent = PasskeyChallengeSpent(account_id=account_id, purpose=purpose)
        return Loaded(stream_id, 0, None).entries([spent])

    def _mac(self, public: bytes, purpose: Purpose, bound: UUID | None) -> bytes:
        place = b"" if bound is None else bound.bytes
        return self._app.keys.derive("passkey-challenge", purpose.encode(), place, public)
