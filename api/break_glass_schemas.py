"""The shapes of break-glass. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Password, Request


class EmergencyLogin(Request, frozen=True):
    """An account's id and its break-glass password."""

    account_id: Annotated[str, Meta(max_length=100)]
    password: Password


class NewEmergencyCredential(Request, frozen=True):
    """A break-glass password for an account, in place of the one before."""

    account_id: UUID
    password: Password


class EmergencyCredential(msgspec.Struct, frozen=True):
    """A break-glass credential that counts now; `once`: its first use ends it.

    `locked_until` is the end of the longest lock, whether of one address or of all.
    """

    account_id: UUID
    username: str | None
    set_at: datetime
    expires_at: datetime | None
    once: bool
    last_used_at: datetime | None
    locked_until: datetime | None
