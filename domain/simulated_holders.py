"""Who holds what as a simulation goes through the log, under the roles that were and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gatebook.domain import account, role
from gatebook.domain.account import Account
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event

Definitions = dict[str, frozenset[str] | None]
"""Other permissions of roles by name; None: the role would not exist."""


class Holders:
    """Accounts and roles, as far as the appends that were taken in lead."""

    kinds: Final[tuple[type[Event], ...]] = (
        *account.Happening.__args__,
        *role.Happening.__args__,
    )

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self.roles: dict[str, role.Role] = {}

    def take(self, append: Sequence[Recorded]) -> None:
        """Folds what an append did."""
        for recorded in append:
            event = recorded.event
            if event.STREAM == "account":
                before = self.accounts.get(recorded.stream_id, Account())
                self.accounts[recorded.stream_id] = account.evolve(before, event)  # type: ignore[arg-type]  # by its stream
            elif isinstance(event, role.RoleDefined | role.RoleDeleted):
                before_ = self.roles.get(event.name, role.Role())
                self.roles[event.name] = role.evolve(before_, event)

    def account(self, account_id: UUID) -> Account:
        """An account as it stands."""
        return self.accounts.get(account_id, Account())

    def exists(self, name: str) -> bool:
        """Whether a role stands for anything."""
        return name in self.roles and self.roles[name].permissions is not None

    def given(self, name: str, other: Definitions) -> frozenset[str]:
        """What a role gives, or would under other definitions; one that is not there, nothing."""
        if not self.exists(name):
            return frozenset()
        if name in other:
            return other[name] or frozenset()
        return frozenset(self.roles[name].permissions or ())

    def held(self, account_id: UUID, at: int) -> list[str]:
        """The roles that an account holds at an instant, those of another generation left out."""
        state = self.account(account_id)
        return [
            grant.role
            for grant in state.grants.values()
            if grant.holds(at)
            and self.exists(grant.role)
            and self.roles[grant.role].generation == grant.generation
        ]

    def permissions(self, account_id: UUID, at: int, other: Definitions) -> frozenset[str]:
        """What an active account may do, or might under other definitions."""
        if self.account(account_id).status != "active":
            return frozenset()
        roles = (self.given(name, other) for name in self.held(account_id, at))
        return frozenset[str]().union(*roles)
