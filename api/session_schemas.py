"""The shapes of asking for sessions to end."""

from __future__ import annotations

from gatebook.api.schemas import Request


class OthersQuery(Request, frozen=True):
    """Which of one's sessions end: all others."""

    others: bool
