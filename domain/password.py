"""A password credential: an Argon2id PHC string, sealed under the account's key."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event


class PasswordSecret(msgspec.Struct, frozen=True, array_like=True):
    """What verifies a password."""

    phc: str


class _PasswordEvent(Event, frozen=True):
    STREAM = "password"
    CATEGORY = "credential"
    SECRET = "secret"  # noqa: S105 - the name of a field
    account_id: UUID
    secret: PasswordSecret | None


class PasswordSet(_PasswordEvent, frozen=True):
    """A password counts from now on. `origin`: "created", "reset" or "changed"."""

    TOPIC = "password.set.1"
    origin: str


class PasswordRehashed(_PasswordEvent, frozen=True):
    """The same password, hashed anew because the parameters changed."""

    TOPIC = "password.rehashed.1"


class PasswordRemoved(Event, frozen=True):
    """No password counts from now on. `cause`: "operator"."""

    TOPIC = "password.removed.1"
    STREAM = "password"
    CATEGORY = "credential"
    account_id: UUID
    cause: str


Happening = PasswordSet | PasswordRehashed | PasswordRemoved


class Password(msgspec.Struct, frozen=True):
    """The current PHC string; None: no password, or erased."""

    phc: str | None = None


TAIL = 1
"""How many of the stream's last events are its state: each replaces what was before."""


def stream_id(account_id: UUID) -> UUID:
    """The stream of an account's password."""
    return uuid8(b"password", account_id.bytes)


def new(account_id: UUID, phc: str, origin: str) -> PasswordSet:
    """A password that was just chosen."""
    return PasswordSet(account_id=account_id, secret=PasswordSecret(phc), origin=origin)


def evolve(_state: Password, event: Happening) -> Password:
    """The state after an event."""
    match event:
        case PasswordSet(secret=secret) | PasswordRehashed(secret=secret):
            return Password(phc=secret.phc if secret is not None else None)
        case PasswordRemoved():
            return Password()
        case _:
            assert_never(event)
