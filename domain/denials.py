"""Attempts to reach beyond one's own permissions, recorded against the one who tried."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

MAX_AN_HOUR = 100
"""More in an hour by one account are refused all the same, but not recorded."""


class AccessDenied(Event, frozen=True):
    """The account tried to give away, or to take over, a permission that it does not hold."""

    TOPIC = "access.denied.1"
    STREAM = "denials"
    CATEGORY = "access"
    account_id: UUID
    permission: str
    action: str
    target: str


def stream_id(account_id: UUID, hour: int) -> UUID:
    """One stream an account and hour, so that none grows without bound."""
    return uuid8(b"denials", account_id.bytes, hour.to_bytes(8, "big"))
