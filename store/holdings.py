"""Who held what at a place of the log, and who gained and lost what between two."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account, role
from gatebook.domain.event import type_of
from gatebook.projections.holdings import NOTHING, Holding, holdings
from gatebook.store.log_reader import LogReader
from gatebook.store.past import (
    GRANTS,
    Past,
    Place,
    accounts_with,
    create,
    events_for,
    fold,
    positions,
    sealed,
    types_of,
)
from gatebook.store.scratch import MEMORY, open_scratch

AT_ONCE: Final = 500
"""Accounts folded together."""


class Change(msgspec.Struct, frozen=True):
    """What an account held before and after."""

    account_id: UUID
    before: Holding
    after: Holding


def held_by(past: Past, place: Place, accounts: Collection[UUID]) -> dict[UUID, Holding]:
    """What some accounts held; those that did not exist yet are missing."""
    with past.at(place, GRANTS, accounts) as stood:
        return holdings(stood.source, place.at)


def everybody(past: Past, place: Place, after: int) -> Iterator[tuple[int, Holding]]:
    """(position at which it was created, what it held) of every account created behind `after`."""
    while True:
        with past.log.reading() as reader:
            created = _created(reader, after, place.position)
        if not created:
            return
        held = held_by(past, place, [account_id for _position, account_id in created])
        for position, account_id in created:
            if account_id in held:  # whoever changed the index can have named any event
                yield position, held[account_id]
        after = created[-1][0]


def changes(past: Past, before: Place, after: Place, behind: UUID | None) -> Iterator[Change]:
    """Every account that holds something else, in the order of their ids, behind one of them."""
    with past.log.reading() as reader:
        touched = sorted(_touched(reader, before, after), key=lambda one: one.bytes)
    rest = [one for one in touched if behind is None or one.bytes > behind.bytes]
    for start in range(0, len(rest), AT_ONCE):
        yield from _changed(past, before, after, rest[start : start + AT_ONCE])


def _changed(past: Past, before: Place, after: Place, accounts: list[UUID]) -> Iterator[Change]:
    with past.log.reading() as reader:
        events = events_for(reader, GRANTS, accounts, after.position)
    with open_scratch(MEMORY) as scratch:
        create(scratch)
        fold(scratch, (one for one in events if one.position <= before.position))
        then = holdings(scratch, before.at)
        fold(scratch, (one for one in events if one.position > before.position))
        now = holdings(scratch, after.at)
    for account_id in accounts:
        change = Change(account_id, then.get(account_id, NOTHING), now.get(account_id, NOTHING))
        if _differs(change.before, change.after):
            yield change


def _differs(before: Holding, after: Holding) -> bool:
    return (before.status, before.roles, before.permissions) != (
        after.status,
        after.roles,
        after.permissions,
    )


def _created(reader: LogReader, after: int, upto: int) -> list[tuple[int, UUID]]:
    """The next accounts that were created."""
    found = positions(reader, ("account.created",), after, upto, most=AT_ONCE)
    return [(one.position, one.stream_id) for one in sealed(reader, found)]


def _touched(reader: LogReader, before: Place, after: Place) -> set[UUID]:
    """Accounts that may hold something else: by an event of their own, of a role, or by time."""
    between = before.position, after.position
    touched = accounts_with(reader, types_of({"account"}), *between)
    changed_roles = {
        recorded.event.name
        for recorded in sealed(reader, positions(reader, types_of({"role"}), *between))
        if isinstance(recorded.event, role.RoleDefined | role.RoleDeleted)
    }
    ever = positions(reader, (type_of(account.RoleGranted),), 0, after.position)
    for recorded in sealed(reader, ever):
        grant = recorded.event
        if not isinstance(grant, account.RoleGranted):
            continue
        ended = grant.expires_at is not None and before.at < grant.expires_at <= after.at
        if ended or grant.role in changed_roles:
            touched.add(recorded.stream_id)
    return touched
