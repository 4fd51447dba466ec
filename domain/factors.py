"""The second factors that an account has: what a right password alone is not enough beside.

One event is the whole state, so a sign-in reads one event however often factors have changed; and
a sign-in that expects this stream at its version loses the race against a factor that is added.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

TAIL = 1

METHODS = {"totp": "totp", "recovery-code": "recovery_code", "passkey": "passkey"}
"""How a factor is called in an answer."""


class FactorsChanged(Event, frozen=True):
    """A factor was added, removed or used up. `passkeys` are the ids that authenticators made."""

    TOPIC = "factors.changed.1"
    STREAM = "factors"
    CATEGORY = "credential"
    account_id: UUID
    totp: bool
    recovery_codes: int
    passkeys: tuple[bytes, ...]


Happening = FactorsChanged


class Factors(msgspec.Struct, frozen=True):
    """What there is now: a confirmed TOTP secret, recovery codes left, passkeys."""

    totp: bool = False
    recovery_codes: int = 0
    passkeys: tuple[bytes, ...] = ()

    @property
    def due(self) -> bool:
        """Whether a right password is not enough. Recovery codes stand in for a factor only."""
        return self.totp or bool(self.passkeys)

    @property
    def methods(self) -> list[str]:
        """The factors that can be used now, as an answer names them."""
        held = {
            "totp": self.totp,
            "recovery-code": self.recovery_codes > 0,
            "passkey": bool(self.passkeys),
        }
        return [METHODS[name] for name, there in held.items() if there]


def stream_id(account_id: UUID) -> UUID:
    """The stream of an account's factors."""
    return uuid8(b"factors", account_id.bytes)


def become(account_id: UUID, wanted: Factors, state: Factors) -> list[Happening]:
    """The change from what there is to what there is to be, if they differ."""
    if wanted == state:
        return []
    return [
        FactorsChanged(
            account_id=account_id,
            totp=wanted.totp,
            recovery_codes=wanted.recovery_codes,
            passkeys=wanted.passkeys,
        )
    ]


def evolve(_state: Factors, event: Happening) -> Factors:
    """The state after an event."""
    match event:
        case FactorsChanged():
            return Factors(event.totp, event.recovery_codes, event.passkeys)
        case _:
            assert_never(event)
