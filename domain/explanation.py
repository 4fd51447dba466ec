"""Why an account holds a permission, or does not: the events that make it so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from gatebook.domain import account, role
from gatebook.domain.envelope import Recorded

Why = Literal[
    "held",
    "not-yet-granted",
    "revoked",
    "expired",
    "permission-not-in-role",
    "role-deleted",
    "role-defined-anew",
]


class Way(msgspec.Struct, frozen=True):
    """A role that gives the permission, or once did, as far as this account is concerned.

    `grant` is the event that gave the role last and `ending` the one that took it; `definition` is
    the event that says what the role stands for now, or that it stands for nothing.
    """

    role: str
    why: Why
    definition: Recorded
    grant: Recorded | None = None
    ending: Recorded | None = None
    expires_at: int | None = None


class Explanation(msgspec.Struct, frozen=True):
    """Whether the permission is held, by which ways, and which event left the account as it is."""

    holds: bool
    status: account.Status
    standing: Recorded | None
    ways: list[Way]


class _Role(msgspec.Struct):
    definition: Recorded
    generation: int
    permissions: frozenset[str]
    ever: set[str]
    exists: bool


def explain(permission: str, at: int, events: Iterable[Recorded]) -> Explanation:
    """Decides from the events of one account and of all roles, up to an instant (microseconds).

    An account that is not active holds nothing. A way says `held` when nothing else is wrong.
    """
    state, standing = account.Account(), None
    grants: dict[str, Recorded] = {}
    endings: dict[str, Recorded] = {}
    roles: dict[str, _Role] = {}
    for recorded in events:
        match recorded.event:
            case role.RoleDefined() | role.RoleDeleted() as event:
                _define(roles, recorded, event)
                continue
            case account.RoleGranted(role=name):
                grants[name] = recorded
                endings.pop(name, None)
            case account.RoleRevoked(role=name):
                endings[name] = recorded
            case _:
                pass
        if recorded.event.STREAM == "account":
            before = state.status
            state = account.evolve(state, recorded.event)  # type: ignore[arg-type]  # by its stream
            standing = recorded if state.status != before else standing
    ways = [
        _way(name, known, permission, at, grants.get(name), endings.get(name))
        for name, known in sorted(roles.items())
        if permission in known.ever
    ]
    holds = state.status == "active" and any(way.why == "held" for way in ways)
    return Explanation(holds, state.status, standing, ways)


def _define(
    roles: dict[str, _Role], recorded: Recorded, event: role.RoleDefined | role.RoleDeleted
) -> None:
    known = roles.get(event.name)
    ever = known.ever if known is not None else set[str]()
    if isinstance(event, role.RoleDefined):
        given = frozenset(event.permissions)
        roles[event.name] = _Role(recorded, event.generation, given, ever | given, exists=True)
    else:
        generation = known.generation if known is not None else 0
        roles[event.name] = _Role(recorded, generation, frozenset(), ever, exists=False)


def _way(
    name: str,
    known: _Role,
    permission: str,
    at: int,
    grant: Recorded | None,
    ending: Recorded | None,
) -> Way:
    given = grant.event if grant is not None else None
    if not isinstance(given, account.RoleGranted):
        return Way(name, "not-yet-granted", known.definition)
    why: Why = "held"
    if ending is not None:
        why = "revoked"
    elif not known.exists:
        why = "role-deleted"
    elif given.generation != known.generation:
        why = "role-defined-anew"
    elif given.expires_at is not None and given.expires_at <= at:
        why = "expired"
    elif permission not in known.permissions:
        why = "permission-not-in-role"
    return Way(name, why, known.definition, grant, ending, given.expires_at)
