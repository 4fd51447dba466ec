"""The roster of administrators: one stream, so that racing commands cannot remove the last one.

An account is on it while it is active and holds `admin` without an end. Whatever changes that
appends here in the same save, and so takes its turn.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.account import Account
from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import LastAdmin
from gatebook.domain.event import Event
from gatebook.domain.permissions import ADMIN

STREAM_ID = uuid8(b"administrators")


class _RosterEvent(Event, frozen=True):
    STREAM = "administrators"
    CATEGORY = "access"
    account_id: UUID


class AdministratorAdded(_RosterEvent, frozen=True):
    """The account now is an active admin without an end."""

    TOPIC = "administrator.added.1"


class AdministratorRemoved(_RosterEvent, frozen=True):
    """The account no longer is one."""

    TOPIC = "administrator.removed.1"


Happening = AdministratorAdded | AdministratorRemoved


class Roster(msgspec.Struct, frozen=True):
    """The accounts on it."""

    members: frozenset[UUID] = frozenset()


def belongs(account: Account) -> bool:
    """Whether an account in this state belongs on the roster."""
    grant = account.grants.get(ADMIN)
    return account.status == "active" and grant is not None and grant.expires_at is None


def decide(account_id: UUID, after: Account, roster: Roster) -> list[Happening]:
    """What the roster must record when an account comes into the state `after`.

    Raises LastAdmin if it would be left empty.
    """
    listed = account_id in roster.members
    if belongs(after) == listed:
        return []
    if not listed:
        return [AdministratorAdded(account_id=account_id)]
    if roster.members == {account_id}:
        raise LastAdmin(
            "This is the last active account that holds admin without an end. "
            "Grant admin to another account first."
        )
    return [AdministratorRemoved(account_id=account_id)]


def evolve(state: Roster, event: Happening) -> Roster:
    """The state after an event."""
    match event:
        case AdministratorAdded(account_id=account_id):
            return Roster(members=state.members | {account_id})
        case AdministratorRemoved(account_id=account_id):
            return Roster(members=state.members - {account_id})
        case _:
            assert_never(event)
