"""Given a past, when a command comes, then these events: the words of the domain's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

S = TypeVar("S")

NOON = 1_800_000_000_000_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
ALICE = UUID("a11ce000-0000-4000-8000-000000000001")
BOB = UUID("b0b00000-0000-4000-8000-000000000002")
SESSION = UUID("01920000-0000-7000-8000-000000000003")
JTI = UUID("01920000-0000-7000-8000-000000000004")


def given(evolve: Callable[[S, Any], S], initial: S, *past: Any) -> S:
    """The state that a past leads to."""
    state = initial
    for event in past:
        state = evolve(state, event)
    return state
