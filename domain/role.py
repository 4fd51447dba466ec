"""A role: a named set of permissions. Built-in ones are recorded too, so the past can be read."""

from __future__ import annotations

import re
from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.event import Event
from gatebook.domain.permissions import CATALOGUE

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}", re.ASCII)


class _RoleEvent(Event, frozen=True):
    STREAM = "role"
    CATEGORY = "access"
    name: str


class RoleDefined(_RoleEvent, frozen=True):
    """The role stands for these permissions from here on.

    `generation` counts how often the name was defined after it stood for nothing.
    """

    TOPIC = "role.defined.1"
    generation: int
    permissions: tuple[str, ...]
    description: str = ""
    built_in: bool = False


class RoleDeleted(_RoleEvent, frozen=True):
    """The role stands for nothing any more."""

    TOPIC = "role.deleted.1"


Happening = RoleDefined | RoleDeleted


class Role(msgspec.Struct, frozen=True):
    """The role as defined last; `permissions` is None while it does not exist."""

    permissions: tuple[str, ...] | None = None
    description: str = ""
    built_in: bool = False
    generation: int = 0


def stream_id(name: str) -> UUID:
    """The stream of a role."""
    return uuid8(b"role", name.encode())


def check_name(name: str) -> None:
    """Raises InvalidValue for a name that no role can have."""
    if NAME.fullmatch(name) is None:
        raise InvalidValue(
            "A role name is 1 to 63 of a-z, 0-9, dot, dash, underscore, a letter first.", "/role"
        )


def define(
    name: str, permissions: frozenset[str], description: str, state: Role, *, built_in: bool
) -> list[Happening]:
    """Defines or redefines a role. Raises Conflict for a built-in one, or InvalidValue."""
    check_name(name)
    if state.built_in and not built_in:
        raise Conflict(f"The role {name} is built in and cannot be changed.")
    unknown = sorted(permissions - CATALOGUE.keys())
    if unknown:
        raise InvalidValue(f"There is no permission {unknown[0]!r}.", "/permissions")
    generation = state.generation + (1 if state.permissions is None else 0)
    wanted = Role(tuple(sorted(permissions)), description, built_in, generation)
    if wanted == state:
        return []
    return [
        RoleDefined(
            name=name,
            generation=generation,
            permissions=tuple(sorted(permissions)),
            description=description,
            built_in=built_in,
        )
    ]


def delete(name: str, state: Role) -> list[Happening]:
    """Deletes a custom role. Raises NotFound or Conflict."""
    if state.permissions is None:
        raise NotFound(f"There is no role {name!r}.")
    if state.built_in:
        raise Conflict(f"The role {name} is built in and cannot be deleted.")
    return [RoleDeleted(name=name)]


def evolve(state: Role, event: Happening) -> Role:
    """The state after an event."""
    match event:
        case RoleDefined():
            return Role(event.permissions, event.description, event.built_in, event.generation)
        case RoleDeleted():
            return Role(generation=state.generation)
        case _:
            assert_never(event)
