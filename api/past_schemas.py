"""The shapes of answers about the past."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from gatebook.api.events import Event
from gatebook.api.schemas import AsOf, Instant, Paging

Place = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class PastPaging(Paging, frozen=True, kw_only=True):
    """Which part of a list, as it is or as it stood at a time or position."""

    at: Instant | None = None
    position: Place | None = None


class AccessQuery(PastPaging, frozen=True, kw_only=True):
    """Whose access: of all, of those who hold a role, of those who hold a permission."""

    role: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    permission: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class Held(msgspec.Struct, frozen=True):
    """What an account held. Permissions are empty while it is not active."""

    account_id: UUID
    username: str | None
    type: str
    status: str
    roles: list[str]
    permissions: list[str]


class AccessTable(msgspec.Struct, frozen=True):
    """A part of the access table at a moment, in the order in which the accounts were created."""

    at: datetime
    position: int
    items: list[Held]
    next: str | None


class ExplainQuery(AsOf, frozen=True, kw_only=True):
    """Does this account hold this permission, now or at a time or position?"""

    account: UUID
    permission: Annotated[str, msgspec.Meta(max_length=100)]


class Ground(msgspec.Struct, frozen=True):
    """An event that makes it so, in plain words."""

    text: str
    event: Event


class Reason(msgspec.Struct, frozen=True):
    """A role that gives the permission, or once did. `why` is `held`, or why it gives it not.

    `needs_two_factors`: it counts only for who signed in with two.
    """

    role: str
    why: str
    text: str
    expires_at: datetime | None
    needs_two_factors: bool
    grounds: list[Ground]


class ExplainedAccess(msgspec.Struct, frozen=True):
    """Whether the account held the permission, and the events that make it so."""

    account_id: UUID
    permission: str
    at: datetime
    position: int
    holds: bool
    text: str
    status: str
    grounds: list[Ground]
    reasons: list[Reason]


class DiffQuery(Paging, frozen=True, kw_only=True):
    """Between which two moments: each a time or a position; `to` is now when it is left out."""

    from_: Instant | None = msgspec.field(default=None, name="from")
    to: Instant | None = None
    from_position: Place | None = None
    to_position: Place | None = None


class Moved(msgspec.Struct, frozen=True):
    """Names that came and names that went."""

    gained: list[str]
    lost: list[str]


class AccessChange(msgspec.Struct, frozen=True):
    """What an account gained and lost. A status is "absent" before the account was created."""

    account_id: UUID
    username: str | None
    status_before: str
    status_after: str
    roles: Moved
    permissions: Moved


class Moment(msgspec.Struct, frozen=True):
    """A moment, and the last event that it includes."""

    at: datetime
    position: int


class AccessDiff(msgspec.Struct, frozen=True):
    """Who gained and lost what, in the order of the accounts' ids."""

    before: Moment = msgspec.field(name="from")
    after: Moment = msgspec.field(name="to")
    items: list[AccessChange]
    next: str | None


class PastSession(msgspec.Struct, frozen=True):
    """A session as it stood. `live`: a request with it would have been let in, but for idleness."""

    id: UUID
    account_id: UUID
    at: datetime
    position: int
    live: bool
    origin: str
    amr: list[str]
    opened_at: datetime
    expires_at: datetime
    grounds: list[Ground]


class PastToken(msgspec.Struct, frozen=True):
    """An access token as it stood. `live`: it would have been accepted."""

    jti: UUID
    account_id: UUID
    session_id: UUID | None
    at: datetime
    position: int
    live: bool
    kid: str
    expires_at: datetime
    roles: list[str]
    permissions: list[str]
    grounds: list[Ground]
