"""The event that only the newer program knows, apart: nothing of the store is imported here."""

from __future__ import annotations

from gatebook.domain.event import Event


class AccountStarred(Event, frozen=True):
    """What the next release may know."""

    TOPIC = "account.starred.1"
    STREAM = "account"
    CATEGORY = "accounts"
