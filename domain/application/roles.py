"""Commands on roles: define, delete, grant, revoke. Nobody gives what he does not hold."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import role as roles
from gatebook.domain.application.accounts import Accounts, AccountView
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from gatebook.domain.permissions import BUILT_IN


class RoleView(msgspec.Struct, frozen=True):
    """A role as it is shown."""

    name: str
    permissions: list[str]
    description: str
    built_in: bool
    version: int


class Roles:
    """The role commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts) -> None:
        self._app = app
        self._accounts = accounts_

    def view(self, name: str) -> RoleView:
        """A role. Raises NotFound."""
        loaded = self._load(name)
        if loaded.state.permissions is None:
            raise NotFound(f"There is no role {name!r}.")
        return _view(name, loaded.version, loaded.state)

    def define(
        self, by: By, name: str, permissions: Iterable[str], description: str
    ) -> tuple[RoleView, bool]:
        """Defines or redefines a custom role. Returns it, and whether it is new."""
        wanted = frozenset(permissions)

        def decide(now: int) -> Decision[tuple[RoleView, bool]]:
            loaded = self._load(name)
            events = roles.define(name, wanted, description, loaded.state, built_in=False)
            self._within(by, wanted, "role.define", name, now)
            self._within(by, loaded.state.permissions or (), "role.define", name, now)
            state = loaded.state
            for event in events:
                state = roles.evolve(state, event)
            view = _view(name, loaded.version + len(events), state)
            return Decision((view, loaded.state.permissions is None), loaded.entries(events))

        return self._app.run(by, decide)

    def delete(self, by: By, name: str) -> None:
        """Deletes a custom role that nobody holds."""

        def decide(now: int) -> Decision[None]:
            loaded = self._load(name)
            events = roles.delete(name, loaded.state)
            self._within(by, loaded.state.permissions or (), "role.delete", name, now)
            if self._app.access.holders(name, now):
                raise Conflict(f"Accounts hold the role {name}. Revoke it from them first.")
            return Decision(None, loaded.entries(events))

        self._app.run(by, decide)

    def grant(
        self,
        by: By,
        account_id: UUID,
        name: str,
        *,
        expires_at: int | None = None,
        if_match: int | None = None,
    ) -> AccountView:
        """Lets an account hold a role, for a time or without an end."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self._accounts.load_for_change(by, account_id, now, if_match)
            command = accounts.GrantRole(name, expires_at, "hand", now)
            self._within(by, self._permissions(name), "role.grant", str(account_id), now)
            events = accounts.decide(command, loaded.state)
            entries = self._accounts.with_roster(loaded.loaded, events)
            return Decision(loaded.after(events, now), entries)

        return self._app.run(by, decide)

    def revoke(
        self, by: By, account_id: UUID, name: str, *, if_match: int | None = None
    ) -> AccountView:
        """Takes a role away. A role that is not held is not an error."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self._accounts.load_for_change(by, account_id, now, if_match)
            roles.check_name(name)
            events = accounts.decide(accounts.RevokeRole(name), loaded.state)
            entries = self._accounts.with_roster(loaded.loaded, events)
            return Decision(loaded.after(events, now), entries)

        return self._app.run(by, decide)

    def built_in(self) -> list[tuple[Loaded[roles.Role], list[roles.Happening]]]:
        """What the log still lacks of the built-in roles as this release has them."""
        pending = []
        for name, (permissions, description) in BUILT_IN.items():
            loaded = self._load(name)
            events = roles.define(name, permissions, description, loaded.state, built_in=True)
            pending.append((loaded, events))
        return pending

    def _load(self, name: str) -> Loaded[roles.Role]:
        return self._app.load(roles.stream_id(name), roles.Role(), roles.evolve)

    def _permissions(self, name: str) -> Iterable[str]:
        roles.check_name(name)
        permissions = self._load(name).state.permissions
        if permissions is None:
            raise InvalidValue(f"There is no role {name!r}.", "/role")
        return permissions

    def _within(
        self, by: By, permissions: Iterable[str], action: str, target: str, now: int
    ) -> None:
        try:
            by.may(permissions)
        except Forbidden as refusal:
            self._accounts.denied(by, refusal, action, target, now)


def _view(name: str, version: int, state: roles.Role) -> RoleView:
    return RoleView(name, list(state.permissions or ()), state.description, state.built_in, version)
