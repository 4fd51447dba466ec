"""A username: the name one signs in with, claimed by one account at a time.

The stream's id is a keyed hash of the normalised name, so that a reader of the log cannot test
guesses against it. The claim is appended with the account's own event: of any number of racing
registrations exactly one wins.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import UsernameTaken
from gatebook.domain.event import Event


class _NameEvent(Event, frozen=True):
    STREAM = "username"
    CATEGORY = "account"
    account_id: UUID


class UsernameClaimed(_NameEvent, frozen=True):
    """The name belongs to an account."""

    TOPIC = "username.claimed.1"


class UsernameReleased(_NameEvent, frozen=True):
    """The name is free again."""

    TOPIC = "username.released.1"


Happening = UsernameClaimed | UsernameReleased


class Username(msgspec.Struct, frozen=True):
    """Whose it is, if anybody's."""

    owner: UUID | None = None


def claim(account_id: UUID, state: Username) -> list[Happening]:
    """Claims the name. Raises UsernameTaken if another account has it."""
    if state.owner == account_id:
        return []
    if state.owner is not None:
        raise UsernameTaken("This username is taken.")
    return [UsernameClaimed(account_id=account_id)]


def release(account_id: UUID, state: Username) -> list[Happening]:
    """Gives the name up, if the account has it."""
    return [UsernameReleased(account_id=account_id)] if state.owner == account_id else []


def evolve(_state: Username, event: Happening) -> Username:
    """The state after an event."""
    match event:
        case UsernameClaimed(account_id=account_id):
            return Username(owner=account_id)
        case UsernameReleased():
            return Username(owner=None)
        case _:
            assert_never(event)
