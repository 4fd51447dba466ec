"""A federated identity: one subject of one issuer, linked to one account.

Its stream's id is a keyed hash of issuer and subject, so of any number of racing first sign-ins
exactly one links it, and a reader of the log cannot test guesses.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import Conflict, NotFound
from gatebook.domain.event import Event
from gatebook.domain.group_mapping import LONGEST_GROUP

MOST_GROUPS: Final = 1_000
"""Groups of one identity that are recorded; a mapping looks at all that were named."""


class Subject(msgspec.Struct, frozen=True, array_like=True):
    """Who somebody is at a provider (OpenID Connect Core 1.0, section 2)."""

    issuer: str
    sub: str


class IdentityLinked(Event, frozen=True):
    """Whoever the provider calls this subject signs in to this account."""

    TOPIC = "identity.linked.1"
    STREAM = "identity"
    CATEGORY = "credential"
    PERSONAL = "subject"
    account_id: UUID
    provider_id: UUID
    subject: Subject | None


class IdentityUnlinked(Event, frozen=True):
    """The subject signs in to no account any more."""

    TOPIC = "identity.unlinked.1"
    STREAM = "identity"
    CATEGORY = "credential"
    account_id: UUID
    provider_id: UUID


class IdentityGroupsChanged(Event, frozen=True):
    """The provider named other groups than at the sign-in before: these, sorted.

    What a sign-in under other mappings would have given is told from them.
    """

    TOPIC = "identity.groups_changed.1"
    STREAM = "identity"
    CATEGORY = "credential"
    PERSONAL = "groups"
    account_id: UUID
    provider_id: UUID
    groups: tuple[str, ...] | None


Happening = IdentityLinked | IdentityUnlinked | IdentityGroupsChanged


class Identity(msgspec.Struct, frozen=True):
    """The account that is linked; None: none. `groups`: what its provider named last."""

    account_id: UUID | None = None
    provider_id: UUID | None = None
    groups: tuple[str, ...] = ()


def link(account_id: UUID, provider_id: UUID, subject: Subject, state: Identity) -> list[Happening]:
    """Links a subject. Raises Conflict when it is linked to an account already."""
    if state.account_id is not None:
        raise Conflict("This identity is linked to an account already.")
    return [IdentityLinked(account_id=account_id, provider_id=provider_id, subject=subject)]


def present(groups: Collection[str], state: Identity) -> list[Happening]:
    """Notes the groups that a linked identity came with, if they are others than before."""
    named = tuple(sorted(group for group in set(groups) if len(group) <= LONGEST_GROUP))
    named = named[:MOST_GROUPS]
    if state.account_id is None or state.provider_id is None or named == state.groups:
        return []
    return [
        IdentityGroupsChanged(
            account_id=state.account_id, provider_id=state.provider_id, groups=named
        )
    ]


def unlink(state: Identity) -> list[Happening]:
    """Ends the link. Raises NotFound."""
    if state.account_id is None or state.provider_id is None:
        raise NotFound("There is no such identity.")
    return [IdentityUnlinked(account_id=state.account_id, provider_id=state.provider_id)]


def evolve(state: Identity, event: Happening) -> Identity:
    """The state after an event."""
    match event:
        case IdentityLinked(account_id=account_id, provider_id=provider_id):
            return Identity(account_id, provider_id)
        case IdentityGroupsChanged(groups=groups):
            return msgspec.structs.replace(state, groups=groups or ())
        case IdentityUnlinked():
            return Identity()
        case _:
            assert_never(event)
