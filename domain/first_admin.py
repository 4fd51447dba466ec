"""The first-admin seat: one stream, taken once, by whichever way comes first."""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import SeatTaken
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"first-admin")

Way = Literal["token", "local", "oidc"]


class _SeatEvent(Event, frozen=True):
    STREAM = "first-admin"
    account_id: UUID


class TokenFirstAdmin(_SeatEvent, frozen=True):
    """The first admin came with the one-time token."""

    TOPIC = "bootstrap.token_first_admin.1"


class LocalFirstAdmin(_SeatEvent, frozen=True):
    """The first admin was made at the command line of this machine."""

    TOPIC = "bootstrap.local_first_admin.1"


class OidcFirstAdmin(_SeatEvent, frozen=True):
    """The first admin came from an identity provider's group."""

    TOPIC = "bootstrap.oidc_first_admin.1"


Happening = TokenFirstAdmin | LocalFirstAdmin | OidcFirstAdmin


class Seat(msgspec.Struct, frozen=True):
    """Who took it."""

    account_id: UUID | None = None


def take(account_id: UUID, way: Way, state: Seat) -> list[Happening]:
    """Takes the seat. Raises SeatTaken."""
    if state.account_id is not None:
        raise SeatTaken("The first admin exists already.")
    match way:
        case "token":
            return [TokenFirstAdmin(account_id=account_id)]
        case "local":
            return [LocalFirstAdmin(account_id=account_id)]
        case "oidc":
            return [OidcFirstAdmin(account_id=account_id)]
        case _:
            assert_never(way)


def evolve(_state: Seat, event: Happening) -> Seat:
    """The state after an event."""
    return Seat(account_id=event.account_id)
