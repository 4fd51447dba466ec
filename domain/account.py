"""An account: who may act, person or machine. Its profile, its status, the roles it holds."""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.event import Event

END_OF_TIME = 253_402_300_799_999_999
"""The last microsecond of the year 9999, which is as far as RFC 3339 goes."""

# --- events


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """The personal part of an account. Sealed in the log under the account's own key."""

    username: str
    display_name: str = ""
    email: str = ""


class _AccountEvent(Event, frozen=True):
    STREAM = "account"
    CATEGORY = "account"


class AccountCreated(_AccountEvent, frozen=True):
    """The account exists. `kind` is "human" or "system"; `profile` is None once erased."""

    TOPIC = "account.created.1"
    PERSONAL = "profile"
    kind: str
    profile: Profile | None


class AccountRenamed(_AccountEvent, frozen=True):
    """The account signs in with another name."""

    TOPIC = "account.renamed.1"
    PERSONAL = "profile"
    profile: Profile | None


class AccountProfileChanged(_AccountEvent, frozen=True):
    """Display name or e-mail changed."""

    TOPIC = "account.profile_changed.1"
    PERSONAL = "profile"
    profile: Profile | None


class AccountDeactivated(_AccountEvent, frozen=True):
    """Switched off: every session and token issued until now has ended."""

    TOPIC = "account.deactivated.1"


class AccountActivated(_AccountEvent, frozen=True):
    """Switched on again. What had ended stays ended."""

    TOPIC = "account.activated.1"


class AccountDeleted(_AccountEvent, frozen=True):
    """Deleted: sessions and tokens have ended, the username stays reserved."""

    TOPIC = "account.deleted.1"


class AccountRestored(_AccountEvent, frozen=True):
    """A deletion undone, roles included, sessions excepted. `status`: what it is again."""

    TOPIC = "account.restored.1"
    status: str


class AccountErased(_AccountEvent, frozen=True):
    """The key of the account's personal data is destroyed. For good."""

    TOPIC = "account.erased.1"


class AccountTokensRevoked(_AccountEvent, frozen=True):
    """Every session and token issued until now has ended; the account may sign in again."""

    TOPIC = "account.tokens_revoked.1"
    CATEGORY = "token"


class RoleGranted(_AccountEvent, frozen=True):
    """The account holds a role, until `expires_at` (microseconds) if that is set.

    `generation` is the role's: a role that is deleted and defined anew is another role, which
    nobody holds. `source` is "hand", or what granted it (a group mapping, the first-admin seat).
    """

    TOPIC = "role.granted.1"
    CATEGORY = "access"
    role: str
    generation: int
    expires_at: int | None = None
    source: str = "hand"


class RoleRevoked(_AccountEvent, frozen=True):
    """The account no longer holds a role."""

    TOPIC = "role.revoked.1"
    CATEGORY = "access"
    role: str


Happening = (
    AccountCreated
    | AccountRenamed
    | AccountProfileChanged
    | AccountDeactivated
    | AccountActivated
    | AccountDeleted
    | AccountRestored
    | AccountErased
    | AccountTokensRevoked
    | RoleGranted
    | RoleRevoked
)

# --- state


class Grant(msgspec.Struct, frozen=True):
    """A role held, and until when (microseconds; None: no end)."""

    role: str
    expires_at: int | None
    source: str
    generation: int

    def holds(self, at: int) -> bool:
        """Whether the grant is in force at an instant."""
        return self.expires_at is None or at < self.expires_at


Status = Literal["absent", "active", "inactive", "deleted", "erased"]


class Account(msgspec.Struct, frozen=True):
    """As much of the past as `decide` needs.

    `epoch` counts the times that everything issued before has ended. `before` is the status that a
    deleted account had, and has again once it is restored.
    """

    status: Status = "absent"
    before: Literal["active", "inactive"] = "active"
    kind: str = ""
    profile: Profile | None = None
    grants: dict[str, Grant] = {}
    epoch: int = 0

    def roles(self, at: int) -> list[str]:
        """Roles in force at an instant, sorted."""
        return sorted(grant.role for grant in self.grants.values() if grant.holds(at))


# --- commands


class Create(msgspec.Struct, frozen=True):
    """Bring an account into being."""

    kind: str
    profile: Profile


class ChangeProfile(msgspec.Struct, frozen=True):
    """Replace the profile. Unchanged parts are repeated."""

    profile: Profile


class SetStatus(msgspec.Struct, frozen=True):
    """Switch on or off, delete, restore or erase."""

    to: Literal["active", "inactive", "deleted", "restored", "erased"]


class RevokeTokens(msgspec.Struct, frozen=True):
    """End everything issued until now."""


class GrantRole(msgspec.Struct, frozen=True):
    """Let the account hold a role."""

    role: str
    expires_at: int | None
    source: str
    at: int
    generation: int


class RevokeRole(msgspec.Struct, frozen=True):
    """Take a role away."""

    role: str


Command = Create | ChangeProfile | SetStatus | RevokeTokens | GrantRole | RevokeRole


def decide(command: Command, state: Account) -> list[Happening]:
    """The events a command leads to; empty when things already are as it wishes.

    Raises NotFound for an account that does not exist, Conflict for one that is past changing.
    """
    if isinstance(command, Create):
        if state.status != "absent":
            raise Conflict("The account exists already.")
        return [AccountCreated(kind=command.kind, profile=command.profile)]
    if state.status == "absent":
        raise NotFound("There is no such account.")
    match command:
        case ChangeProfile(profile=profile):
            return _change_profile(profile, state)
        case SetStatus(to=to):
            return _set_status(to, state)
        case RevokeTokens():
            return [AccountTokensRevoked()]
        case GrantRole():
            return _grant(command, state)
        case RevokeRole(role=role):
            return [RoleRevoked(role=role)] if role in state.grants else []
        case _:
            assert_never(command)


def _change_profile(profile: Profile, state: Account) -> list[Happening]:
    before = state.profile
    if before is None or state.status == "erased":
        raise Conflict("The account is erased; it has no profile any more.")
    if state.status == "deleted":
        raise Conflict("The account is deleted. Restore it first.")
    events: list[Happening] = []
    if profile.username != before.username:
        events.append(
            AccountRenamed(profile=msgspec.structs.replace(before, username=profile.username))
        )
    if (profile.display_name, profile.email) != (before.display_name, before.email):
        events.append(AccountProfileChanged(profile=profile))
    return events


def _set_status(to: str, state: Account) -> list[Happening]:
    match (to, state.status):
        case ("erased", "erased") | ("deleted", "deleted"):
            return []
        case ("erased", _):
            return [AccountErased()]
        case (_, "erased"):
            raise Conflict("The account is erased. That cannot be undone.")
        case ("deleted", _):
            return [AccountDeleted()]
        case ("restored", "deleted"):
            return [AccountRestored(status=state.before)]
        case ("restored", _):
            raise Conflict("The account is not deleted.")
        case (_, "deleted"):
            raise Conflict("The account is deleted. Restore it first.")
        case ("inactive", "active"):
            return [AccountDeactivated()]
        case ("active", "inactive"):
            return [AccountActivated()]
        case _:
            return []


def _grant(command: GrantRole, state: Account) -> list[Happening]:
    if state.status in ("deleted", "erased"):
        raise Conflict(f"The account is {state.status}.")
    if command.expires_at is not None and not command.at < command.expires_at <= END_OF_TIME:
        raise InvalidValue("A grant must end in the future, before the year 10000.", "/expires_at")
    wanted = Grant(command.role, command.expires_at, command.source, command.generation)
    if state.grants.get(command.role) == wanted:
        return []
    return [
        RoleGranted(
            role=command.role,
            generation=command.generation,
            expires_at=command.expires_at,
            source=command.source,
        )
    ]


def evolve(state: Account, event: Happening) -> Account:
    """The state after an event. Never refuses."""
    replace = msgspec.structs.replace
    match event:
        case AccountCreated(kind=kind, profile=profile):
            return Account(status="active", kind=kind, profile=profile)
        case AccountRenamed(profile=profile) | AccountProfileChanged(profile=profile):
            return replace(state, profile=profile)
        case AccountDeactivated():
            return replace(state, status="inactive", epoch=state.epoch + 1)
        case AccountActivated():
            return replace(state, status="active")
        case AccountRestored(status=status):
            return replace(state, status="inactive" if status == "inactive" else "active")
        case AccountDeleted():
            before: Literal["active", "inactive"] = (
                "inactive" if state.status == "inactive" else "active"
            )
            return replace(state, status="deleted", before=before, epoch=state.epoch + 1)
        case AccountErased():
            return replace(state, status="erased", profile=None, epoch=state.epoch + 1)
        case AccountTokensRevoked():
            return replace(state, epoch=state.epoch + 1)
        case RoleGranted(role=role):
            grant = Grant(role, event.expires_at, event.source, event.generation)
            return replace(state, grants={**state.grants, role: grant})
        case RoleRevoked(role=role):
            return replace(state, grants={k: v for k, v in state.grants.items() if k != role})
        case _:
            assert_never(event)
