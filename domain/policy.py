"""The policy in force: the numbers that decisions depend on, adopted as an event.

A decision names the policy version it was made under, so it can be made again later.
All durations are in microseconds.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"policy")


class Lockout(msgspec.Struct, frozen=True, array_like=True):
    """`threshold` failures lock for `duration`; failures older than `reset` are forgotten."""

    threshold: int
    duration: int
    reset: int


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """Everything configured that an access decision depends on. Fields are only ever appended.

    A break-glass credential ends `break_glass_expires_after` it was set, or with its first use.
    The roles in `mfa_required_for` count only for who signed in with two factors.
    """

    lockout: Lockout
    access_lifetime: int
    refresh_lifetime: int
    system_lifetime_max: int
    clock_skew: int
    session_idle: int
    session_absolute: int
    password_min_bytes: int
    password_max_bytes: int
    break_glass: Lockout
    break_glass_expires_after: int | None = None
    break_glass_once: bool = False
    mfa_required_for: tuple[str, ...] = ()


class PolicyAdopted(Event, frozen=True):
    """The policy from here on. Its stream version is the policy's version."""

    TOPIC = "policy.adopted.1"
    STREAM = "policy"
    CATEGORY = "config"
    policy: Policy


Happening = PolicyAdopted


class Adopted(msgspec.Struct, frozen=True):
    """The policy last adopted; None before the first."""

    policy: Policy | None = None


def decide(policy: Policy, state: Adopted) -> list[Happening]:
    """Adopts a policy if it differs from the one in force."""
    return [] if state.policy == policy else [PolicyAdopted(policy=policy)]


def evolve(_state: Adopted, event: Happening) -> Adopted:
    """The state after an event."""
    match event:
        case PolicyAdopted(policy=policy):
            return Adopted(policy=policy)
        case _:
            assert_never(event)
