"""A group mapping: who is in a provider's group holds a role here."""

from __future__ import annotations

from typing import Final, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.event import Event

LONGEST_GROUP: Final = 500


class GroupMappingAdded(Event, frozen=True):
    """Members of the group hold the role, from their next sign-in on."""

    TOPIC = "group_mapping.added.1"
    STREAM = "group-mapping"
    CATEGORY = "config"
    provider_id: UUID
    group: str
    role: str


class GroupMappingRemoved(Event, frozen=True):
    """They do no longer, from their next sign-in on."""

    TOPIC = "group_mapping.removed.1"
    STREAM = "group-mapping"
    CATEGORY = "config"
    provider_id: UUID


Happening = GroupMappingAdded | GroupMappingRemoved


class GroupMapping(msgspec.Struct, frozen=True):
    """A mapping that is in force; provider None: there is none."""

    provider_id: UUID | None = None
    group: str = ""
    role: str = ""


def stream_id(provider_id: UUID, group: str, role: str) -> UUID:
    """The id of a mapping: the same three make the same one."""
    return uuid8(b"group-mapping", provider_id.bytes, group.encode(), role.encode())


def source_of(provider_id: UUID) -> str:
    """What a grant that a provider's groups gave names as its source."""
    return f"provider:{provider_id}"


def add(provider_id: UUID, group: str, role: str, state: GroupMapping) -> list[Happening]:
    """Maps a group to a role. Raises Conflict when it is mapped to it already."""
    if not 1 <= len(group) <= LONGEST_GROUP or not group.isprintable():
        raise InvalidValue(f"A group has 1 to {LONGEST_GROUP} printable characters.", "/group")
    if state.provider_id is not None:
        raise Conflict("This group is mapped to this role already.")
    return [GroupMappingAdded(provider_id=provider_id, group=group, role=role)]


def remove(state: GroupMapping) -> list[Happening]:
    """Ends a mapping. Raises NotFound."""
    if state.provider_id is None:
        raise NotFound("There is no such group mapping.")
    return [GroupMappingRemoved(provider_id=state.provider_id)]


def evolve(_state: GroupMapping, event: Happening) -> GroupMapping:
    """The state after an event."""
    match event:
        case GroupMappingAdded():
            return GroupMapping(event.provider_id, event.group, event.role)
        case GroupMappingRemoved():
            return GroupMapping()
        case _:
            assert_never(event)
