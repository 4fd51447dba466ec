"""The events that an explanation rests on, found in the log."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import account, explanation, group_mapping, identity
from gatebook.domain.envelope import Recorded
from gatebook.store.log_reader import LogReader
from gatebook.store.past import GRANTS, Past, Place, events_for, mfa_required_for, positions

PROVIDER: Final = "provider:"


class Explained(msgspec.Struct, frozen=True):
    """An explanation, and for each role that a provider gave, what led to that.

    `led_to` is by role: the mapping of the group, the groups as the provider named them, the
    sign-in that came with them. `held_back` are roles that counted only with two factors.
    """

    explanation: explanation.Explanation
    led_to: dict[str, list[Recorded]]
    held_back: frozenset[str]


def explain(past: Past, account_id: UUID, permission: str, place: Place) -> Explained:
    """Why an account held a permission at a place, or did not."""
    with past.log.reading() as reader:
        events = events_for(reader, GRANTS, [account_id], place.position)
        found = explanation.explain(permission, place.at, events)
        led_to = {
            way.role: _led_to(reader, account_id, way.grant, place.position)
            for way in found.ways
            if way.grant is not None
        }
        return Explained(found, led_to, mfa_required_for(reader, place.position))


def _led_to(reader: LogReader, account_id: UUID, granted: Recorded, upto: int) -> list[Recorded]:
    """What a provider's grant came from. A sign-in stands in the same append as what it gave."""
    grant = granted.event
    if not isinstance(grant, account.RoleGranted) or not grant.source.startswith(PROVIDER):
        return []
    provider_id = UUID(grant.source.removeprefix(PROVIDER))
    sign_ins = positions(
        reader, ("federated_login.completed",), granted.position, upto, [account_id]
    )
    presented = positions(
        reader, ("identity.groups_changed",), 0, sign_ins[0] if sign_ins else upto, [account_id]
    )
    named = _newest_groups(reader, presented, provider_id)
    mappings = _mappings(reader, provider_id, grant.role, granted.position, named)
    return [*mappings, *([named] if named else []), *reader.events(sign_ins[:1])]


def _newest_groups(reader: LogReader, presented: list[int], provider_id: UUID) -> Recorded | None:
    """What the provider named last by then; None for a sign-in of before this was recorded."""
    for recorded in reversed(reader.events(presented)):
        event = recorded.event
        if isinstance(event, identity.IdentityGroupsChanged) and event.provider_id == provider_id:
            return recorded
    return None


def _mappings(
    reader: LogReader, provider_id: UUID, role: str, upto: int, named: Recorded | None
) -> list[Recorded]:
    """The mappings that gave the role then; with known groups, those of these groups alone."""
    groups = getattr(named.event, "groups", None) if named is not None else None
    standing: dict[UUID, Recorded] = {}
    types = ("group_mapping.added", "group_mapping.removed")
    for recorded in reader.events(positions(reader, types, 0, upto)):
        match recorded.event:
            case group_mapping.GroupMappingAdded() as event:
                fits = (event.provider_id, event.role) == (provider_id, role)
                if fits and (groups is None or event.group in groups):
                    standing[recorded.stream_id] = recorded
            case group_mapping.GroupMappingRemoved():
                standing.pop(recorded.stream_id, None)
            case _:
                pass
    return list(standing.values())
