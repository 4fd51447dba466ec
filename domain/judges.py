"""Every event that a pure function decided, and how it is decided again."""

from __future__ import annotations

from typing import Final

from gatebook.domain import (
    decisions_access,
    decisions_credentials,
    decisions_guesses,
    decisions_sessions,
)
from gatebook.domain.decisions import Before, Judge, Redecided, redecide
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event

JUDGES: Final[dict[type[Event], Judge]] = {
    **decisions_access.JUDGES,
    **decisions_guesses.JUDGES,
    **decisions_sessions.JUDGES,
    **decisions_credentials.JUDGES,
}


def decide_again(recorded: Recorded, before: Before) -> Redecided:
    """Makes the decision of a recorded event again."""
    return redecide(recorded, before, JUDGES)
