"""Break-glass: a password for when nothing else works, kept apart from the account's own.

The stream of the credential holds no uses: they stand in one of their own, so that the last event
of this one is always the credential's state.
"""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import NotFound
from gatebook.domain.event import Event
from gatebook.domain.password import PasswordSecret

PERMISSION = "auth.breakglass.login"
"""What whoever signs in must hold at that moment."""

Expiry = Literal["first-use", "time"]

# --- events


class _CredentialEvent(Event, frozen=True):
    STREAM = "breakglass"
    account_id: UUID


class CredentialSet(_CredentialEvent, frozen=True):
    """A break-glass password counts from now on: until `expires_at` (microseconds) if that is set,
    and for one sign-in only if `once`."""

    TOPIC = "breakglass.credential_set.1"
    SECRET = "secret"  # noqa: S105 - the name of a field
    secret: PasswordSecret | None
    expires_at: int | None
    once: bool


class CredentialRemoved(_CredentialEvent, frozen=True):
    """Somebody took it away."""

    TOPIC = "breakglass.credential_removed.1"


class CredentialExpired(_CredentialEvent, frozen=True):
    """It ended by itself. `cause`: "first-use" or "time"."""

    TOPIC = "breakglass.credential_expired.1"
    cause: str


class LoginSucceeded(Event, frozen=True):
    """The credential opened a session. `policy` is the version that was applied."""

    TOPIC = "breakglass.login_succeeded.1"
    STREAM = "breakglass-uses"
    account_id: UUID
    failures_before: int
    policy: int


Happening = CredentialSet | CredentialRemoved | CredentialExpired

# --- state

TAIL = 1
"""How many of the stream's last events are its state."""


class Credential(msgspec.Struct, frozen=True):
    """What a sign-in is checked against; `phc` None: there is none, or it is erased."""

    phc: str | None = None
    expires_at: int | None = None
    once: bool = False

    def expired(self, at: int) -> bool:
        """Whether its time is over, recorded or not."""
        return self.phc is not None and self.expires_at is not None and at >= self.expires_at


# --- decisions


def stream_id(account_id: UUID) -> UUID:
    """The stream of an account's break-glass credential."""
    return uuid8(b"break-glass", account_id.bytes)


def uses_stream_id(account_id: UUID) -> UUID:
    """The stream of its uses."""
    return uuid8(b"break-glass-uses", account_id.bytes)


def set_to(
    account_id: UUID, phc: str, at: int, *, lifetime: int | None, once: bool
) -> CredentialSet:
    """A password that was just chosen, or replaced. `lifetime` in microseconds."""
    return CredentialSet(
        account_id=account_id,
        secret=PasswordSecret(phc),
        expires_at=None if lifetime is None else at + lifetime,
        once=once,
    )


def remove(account_id: UUID, state: Credential) -> list[Happening]:
    """Takes it away. Raises NotFound when there is none."""
    if state.phc is None:
        raise NotFound("This account has no break-glass credential.")
    return [CredentialRemoved(account_id=account_id)]


def expire(account_id: UUID, cause: Expiry, state: Credential) -> list[Happening]:
    """Ends it, once."""
    return [CredentialExpired(account_id=account_id, cause=cause)] if state.phc is not None else []


def evolve(_state: Credential, event: Happening) -> Credential:
    """The state after an event."""
    match event:
        case CredentialSet(secret=secret, expires_at=expires_at, once=once):
            phc = secret.phc if secret is not None else None
            return Credential(phc=phc, expires_at=expires_at, once=once)
        case CredentialRemoved() | CredentialExpired():
            return Credential()
        case _:
            assert_never(event)
