"""A passkey (WebAuthn Level 3): registered once, used often, removed.

What never changes stands in the passkey's own stream; what changes with each use stands in a
stream beside it whose last event is the whole state, so that a sign-in reads three events.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

MOST = 20
"""Passkeys of one account."""

LONGEST_ID = 1023
"""Bytes (WebAuthn, section 7.1, step 26)."""

LONGEST_NAME = 64

# --- events


class PasskeyName(msgspec.Struct, frozen=True, array_like=True):
    """What its owner calls it."""

    name: str


class _PasskeyEvent(Event, frozen=True):
    CATEGORY = "credential"
    account_id: UUID


class PasskeyRegistered(_PasskeyEvent, frozen=True):
    """A passkey counts from now on. `public_key` is a COSE key; `attestation` its format."""

    TOPIC = "passkey.registered.1"
    STREAM = "passkey"
    PERSONAL = "named"
    named: PasskeyName | None
    credential_id: bytes
    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool
    aaguid: str
    attestation: str
    transports: tuple[str, ...]


class PasskeyRemoved(_PasskeyEvent, frozen=True):
    """It counts no more. `cause`: "owner" or "operator"."""

    TOPIC = "passkey.removed.1"
    STREAM = "passkey"
    cause: str


class PasskeyUsed(_PasskeyEvent, frozen=True):
    """Somebody signed in with it. `user_verified`: the device asked who he is."""

    TOPIC = "passkey.used.1"
    STREAM = "passkey-uses"
    sign_count: int
    backed_up: bool
    user_verified: bool


class PasskeyBackupChanged(_PasskeyEvent, frozen=True):
    """It was copied to a provider's cloud, or is there no more."""

    TOPIC = "passkey.backup_changed.1"
    STREAM = "passkey-uses"
    sign_count: int
    backed_up: bool


class PasskeyCloneSuspected(_PasskeyEvent, frozen=True):
    """A right signature with a count that did not grow: refused. `sign_count` stays in force."""

    TOPIC = "passkey.clone_suspected.1"
    STREAM = "passkey-uses"
    sign_count: int
    backed_up: bool
    received: int


class PasskeyChallengeSpent(_PasskeyEvent, frozen=True):
    """A challenge was answered. `purpose`: "register", "login" or "second-factor"."""

    TOPIC = "passkey.challenge_spent.1"
    STREAM = "passkey-challenge"
    purpose: str


Happening = PasskeyRegistered | PasskeyRemoved
Use = PasskeyUsed | PasskeyBackupChanged | PasskeyCloneSuspected

# --- states


class Passkey(msgspec.Struct, frozen=True):
    """What it is. `live` is False before it is registered and once it is removed."""

    account_id: UUID | None = None
    live: bool = False
    name: str | None = None
    credential_id: bytes = b""
    public_key: bytes = b""
    backup_eligible: bool = False
    transports: tuple[str, ...] = ()
    first: Uses | None = None


class Uses(msgspec.Struct, frozen=True):
    """What changes: how often it was used, as its device says, and whether it is backed up."""

    sign_count: int = 0
    backed_up: bool = False


USES_TAIL = 1


def stream_id(credential_id: bytes) -> UUID:
    """The stream of a passkey; it is the passkey's id in answers too."""
    return uuid8(b"passkey", credential_id)


def uses_id(credential_id: bytes) -> UUID:
    """The stream of its uses."""
    return uuid8(b"passkey-uses", credential_id)


def challenge_id(challenge: bytes) -> UUID:
    """The stream that holds a challenge's one use."""
    return uuid8(b"passkey-challenge", challenge)


class Assertion(msgspec.Struct, frozen=True):
    """What an authenticator signed, once the signature was found to be right."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool


def counted(assertion: Assertion, uses: Uses) -> bool:
    """Whether the count grew, or the device does not count (section 7.2, step 24)."""
    if assertion.sign_count == 0 and uses.sign_count == 0:
        return True
    return assertion.sign_count > uses.sign_count


def use(account_id: UUID, assertion: Assertion, uses: Uses) -> list[Use]:
    """A use that is accepted (section 7.2, steps 20 and 25)."""
    events: list[Use] = []
    if assertion.backed_up != uses.backed_up:
        events.append(
            PasskeyBackupChanged(
                account_id=account_id,
                sign_count=uses.sign_count,
                backed_up=assertion.backed_up,
            )
        )
    events.append(
        PasskeyUsed(
            account_id=account_id,
            sign_count=assertion.sign_count,
            backed_up=assertion.backed_up,
            user_verified=assertion.user_verified,
        )
    )
    return events


def evolve(state: Passkey, event: Happening) -> Passkey:
    """The state after an event."""
    match event:
        case PasskeyRegistered():
            return Passkey(
                account_id=event.account_id,
                live=True,
                name=event.named.name if event.named is not None else None,
                credential_id=event.credential_id,
                public_key=event.public_key,
                backup_eligible=event.backup_eligible,
                transports=event.transports,
                first=Uses(event.sign_count, event.backed_up),
            )
        case PasskeyRemoved():
            return msgspec.structs.replace(state, live=False)
        case _:
            assert_never(event)


def evolve_uses(_state: Uses, event: Use) -> Uses:
    """The last use is the whole state."""
    match event:
        case PasskeyUsed() | PasskeyBackupChanged() | PasskeyCloneSuspected():
            return Uses(event.sign_count, event.backed_up)
        case _:
            assert_never(event)
