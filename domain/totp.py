"""One-time codes by time (RFC 6238): a secret offered, confirmed by a code, used once a step.

Three streams an account, each of which is known by its last event: the offers, the secret in
force, and the steps used. However long somebody uses them, a sign-in reads three events.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

TAIL = 1
KEY_BYTES = 20
"""160 bits, as RFC 4226 recommends."""

OFFERED_FOR = 3600 * 1_000_000
"""How long an offered secret can be confirmed. Microseconds."""

# --- events


class TotpSecret(msgspec.Struct, frozen=True, array_like=True):
    """What the codes are computed from."""

    key: bytes


class _TotpEvent(Event, frozen=True):
    CATEGORY = "credential"
    account_id: UUID


class TotpOffered(_TotpEvent, frozen=True):
    """A secret was shown. It signs nobody in until it is confirmed, before `expires_at`."""

    TOPIC = "totp.offered.1"
    STREAM = "totp-offers"
    SECRET = "secret"  # noqa: S105 - the name of a field
    secret: TotpSecret | None
    expires_at: int


class TotpConfirmed(_TotpEvent, frozen=True):
    """The secret counts from now on, in place of any before. `offer`: the offer's version."""

    TOPIC = "totp.confirmed.1"
    STREAM = "totp"
    SECRET = "secret"  # noqa: S105 - the name of a field
    secret: TotpSecret | None
    step: int
    offer: int


class TotpRemoved(_TotpEvent, frozen=True):
    """No secret counts. Offers up to version `offer` are void. `cause`: "owner" or "operator"."""

    TOPIC = "totp.removed.1"
    STREAM = "totp"
    cause: str
    offer: int


class TotpUsed(_TotpEvent, frozen=True):
    """A code of this step was accepted: no code of it or of an earlier one is accepted again."""

    TOPIC = "totp.used.1"
    STREAM = "totp-uses"
    step: int


Happening = TotpConfirmed | TotpRemoved

# --- states


class Offer(msgspec.Struct, frozen=True):
    """The secret last offered, and until when."""

    key: bytes | None = None
    expires_at: int = 0


class Totp(msgspec.Struct, frozen=True):
    """The secret in force; None: none, or erased. Offers up to `offer` are spent."""

    key: bytes | None = None
    offer: int = 0


class Uses(msgspec.Struct, frozen=True):
    """The last step of which a code was accepted."""

    step: int = 0


def stream_id(account_id: UUID) -> UUID:
    """The stream of the secret in force; its id is that of the credential."""
    return uuid8(b"totp", account_id.bytes)


def offers_id(account_id: UUID) -> UUID:
    """The stream of the offers."""
    return uuid8(b"totp-offers", account_id.bytes)


def uses_id(account_id: UUID) -> UUID:
    """The stream of the uses."""
    return uuid8(b"totp-uses", account_id.bytes)


def pending(offer: Offer, version: int, state: Totp, at: int) -> bytes | None:
    """The secret that waits for its confirmation, if any: the last one offered."""
    return offer.key if version > state.offer and at < offer.expires_at else None


def evolve(_state: Totp, event: Happening) -> Totp:
    """The state after an event."""
    match event:
        case TotpConfirmed(secret=secret, offer=offer):
            return Totp(secret.key if secret is not None else None, offer)
        case TotpRemoved(offer=offer):
            return Totp(None, offer)
        case _:
            assert_never(event)


def evolve_offer(_state: Offer, event: TotpOffered) -> Offer:
    """The last offer."""
    secret = event.secret
    return Offer(secret.key if secret is not None else None, event.expires_at)


def evolve_uses(_state: Uses, event: TotpUsed) -> Uses:
    """The last use."""
    return Uses(event.step)
