"""Commands on roles: define, delete, grant, revoke. Nobody gives what he does not hold."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import role as roles
from gatebook.domain.application.accounts import Accounts, AccountView
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.errors import Conflict, Forbidden, InvalidValue, NotFound, StaleVersion
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
        self,
        by: By,
        name: str,
        permissions: Iterable[str],
        description: str,
        *,
        if_match: int | None = None,
    ) -> tuple[RoleView, bool]:
        """Defines or redefines a custom role. Returns it, and whether it is new."""
        wanted = frozenset(permissions)

        def decide(now: int) -> Decision[tuple[RoleView, bool]]:
            loaded = self._load(name, if_match)
            events = roles.define(name, wanted, description, loaded.state, built_in=False)
            before = frozenset(loaded.state.permissions or ())
            self._within(by, wanted | before, "role.define", name, now)
            # What is added lasts as long as the role, so it must be held without an end.
            self._within(by, wanted - before, "role.define", name, now, lasting=True)
            state = loaded.state
            for event in events:
                state = roles.evolve(state, event)
            view = _view(name, loaded.version + len(events), state)
            return Decision((view, loaded.state.permissions is None), loaded.entries(events))

        return self._app.run(by, decide)

    def delete(self, by: By, name: str, *, if_match: int | None = None) -> None:
        """Deletes a custom role that nobody holds.

        A grant that is decided at the same moment holds a generation that is gone, so nothing.
        """

        def decide(now: int) -> Decision[None]:
            loaded = self._load(name, if_match)
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
            stands = self._existing(name)
            role = stands.state
            command = accounts.GrantRole(name, expires_at, "hand", now, role.generation)
            given = role.permissions or ()
            self._within(
                by, given, "role.grant", str(account_id), now, until=expires_at, lasting=True
            )
            events = accounts.decide(command, loaded.state)
            entries = self._accounts.with_roster(loaded.loaded, events)
            expected = {stands.stream_id: stands.version}
            return Decision(loaded.after(events, now), entries, expected=expected)

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

    def load(self, name: str) -> Loaded[roles.Role]:
        """A role as defined last; without permissions when there is none."""
        return self._load(name)

    def grantable(
        self, by: By, name: str, action: str, target: str, now: int
    ) -> Loaded[roles.Role]:
        """A role that the giver may give for good. Raises InvalidValue and Forbidden."""
        loaded = self._existing(name)
        self._within(by, loaded.state.permissions or (), action, target, now, lasting=True)
        return loaded

    def reached(self, by: By, name: str, action: str, target: str, now: int) -> None:
        """Raises Forbidden unless he holds what a role gives. One that is gone gives nothing."""
        given = self._load(name).state.permissions or ()
        self._within(by, given, action, target, now)

    def built_in(self) -> list[tuple[Loaded[roles.Role], list[roles.Happening]]]:
        """What the log still lacks of the built-in roles as this release has them."""
        pending = []
        for name, (permissions, description) in BUILT_IN.items():
            loaded = self._load(name)
            events = roles.define(name, permissions, description, loaded.state, built_in=True)
            pending.append((loaded, events))
        return pending

    def _load(self, name: str, if_match: int | None = None) -> Loaded[roles.Role]:
        loaded = self._app.load(roles.stream_id(name), roles.Role(), roles.evolve)
        if if_match is not None and if_match != loaded.version:
            raise StaleVersion(if_match, loaded.version)
        return loaded

    def _existing(self, name: str) -> Loaded[roles.Role]:
        roles.check_name(name)
        loaded = self._load(name)
        if loaded.state.permissions is None:
            raise InvalidValue(f"There is no role {name!r}.", "/role")
        return loaded

    def _within(
        self,
        by: By,
        permissions: Iterable[str],
        action: str,
        target: str,
        now: int,
        *,
        until: int | None = None,
        lasting: bool = False,
    ) -> None:
        """Raises Forbidden unless he holds these himself; if `lasting`, no shorter than `until`."""
        try:
            by.may(permissions)
            if by.account_id is not None and lasting:
                ends = self._app.access.reach(by.account_id, now)
                for permission in sorted(permissions):
                    _outlasts(permission, ends.get(permission, now), until)
        except Forbidden as refusal:
            self._accounts.denied(by, refusal, action, target, now)


def _outlasts(permission: str, held_until: int | None, until: int | None) -> None:
    if held_until is not None and (until is None or until > held_until):
        raise Forbidden(
            permission, f"You hold {permission} for a time only, and can grant it no longer."
        )


def _view(name: str, version: int, state: roles.Role) -> RoleView:
    return RoleView(name, list(state.permissions or ()), state.description, state.built_in, version)
