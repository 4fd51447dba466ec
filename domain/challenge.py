"""A sign-in that waits for its second factor: what was proved so far, and until when it counts."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.event import Event
from gatebook.domain.proofs import PASSWORD, Proof

LIFETIME = 300 * 1_000_000
"""Microseconds."""

FIRST_STEPS = {PASSWORD.method: PASSWORD}
"""What can be proved before a second factor."""

# --- events


class _MfaEvent(Event, frozen=True):
    STREAM = "mfa"
    account_id: UUID


class MfaChallenged(_MfaEvent, frozen=True):
    """The first factor was proved; the second is due until `expires_at`.

    It counts under the account's `epoch` and the password at version `password_version`.
    """

    TOPIC = "mfa.challenged.1"
    proofs: tuple[str, ...]
    methods: tuple[str, ...]
    epoch: int
    password_version: int
    failures_before: int
    expires_at: int


class MfaCompleted(_MfaEvent, frozen=True):
    """The second factor was proved by a method, and a session opened. It opens no other."""

    TOPIC = "mfa.completed.1"
    method: str


Happening = MfaChallenged | MfaCompleted

# --- state


class Challenge(msgspec.Struct, frozen=True):
    """As much of the past as finishing needs."""

    account_id: UUID | None = None
    proofs: tuple[Proof, ...] = ()
    epoch: int = 0
    password_version: int = 0
    failures_before: int = 0
    expires_at: int = 0
    completed: bool = False


class Standing(msgspec.Struct, frozen=True):
    """What must still be as it was: the account and its password."""

    active: bool
    epoch: int
    password_version: int
    password_locked: bool


def check(state: Challenge, standing: Standing, at: int) -> None:
    """Raises InvalidCredentials unless the challenge can be finished at an instant.

    A lock of the password that came after the challenge holds too.
    """
    if state.account_id is None or state.completed:
        raise InvalidCredentials("The sign-in was finished before, or never begun.")
    if at >= state.expires_at:
        raise InvalidCredentials("The sign-in took too long.")
    if not standing.active or standing.epoch != state.epoch:
        raise InvalidCredentials("The account changed meanwhile.")
    if standing.password_version != state.password_version:
        raise InvalidCredentials("The password changed meanwhile.")
    if standing.password_locked:
        raise InvalidCredentials("The password is locked.")


def evolve(state: Challenge, event: Happening) -> Challenge:
    """The state after an event."""
    match event:
        case MfaChallenged():
            return Challenge(
                account_id=event.account_id,
                proofs=tuple(FIRST_STEPS[name] for name in event.proofs),
                epoch=event.epoch,
                password_version=event.password_version,
                failures_before=event.failures_before,
                expires_at=event.expires_at,
            )
        case MfaCompleted():
            return msgspec.structs.replace(state, completed=True)
        case _:
            assert_never(event)
