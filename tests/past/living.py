"""A deployment's life by chance: every kind of command that access depends on, by a moved clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from uuid import UUID

import jwt

from gatebook.domain.application.accounts import Changes
from gatebook.domain.application.core import local
from gatebook.domain.application.families import TokenPair
from gatebook.domain.application.logins import Attempt
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.errors import Refusal
from gatebook.domain.permissions import CATALOGUE
from gatebook.domain.provider import Configuration
from gatebook.store.house import House, system

PASSWORD = "violet tractor hums at dawn 42"
BY = local("tester")
SECOND = 1_000_000
ROLES = ("red", "green", "blue", "viewer", "auditor", "operator")
GROUPS = ("staff", "doctors", "night")


class Clock:
    """A clock that each command puts forward."""

    def __init__(self, start: int) -> None:
        self.at = start

    def now(self) -> int:
        return self.at


class Life:
    """Each `step` gives one command, which may be refused as in life."""

    def __init__(self, house: House, seed: int, people: int = 60) -> None:
        self.house = house
        self.people = people
        self.dice = random.Random(seed)
        self.clock = Clock(house.clock.now())
        house.clock = self.clock  # type: ignore[assignment]  # a test's clock
        house.app.clock = self.clock
        self.accounts: list[UUID] = []
        self.tokens: list[UUID] = []
        self.owners: dict[UUID, UUID] = {}
        self.accepted = 0
        self._refresh: list[str] = []
        self._names: dict[UUID, str] = {}
        self._steps: list[Callable[[], None]] = [
            *[self._sign_in] * 8,
            *[self._renew] * 8,
            *[self._grant] * 8,
            *[self._revoke] * 4,
            *[self._issue] * 3,
            *[self._status] * 4,
            *[self._define] * 2,
            *[self._key] * 2,
            self._rename,
            self._end_token,
            self._end_session,
            self._end_all,
            self._drop_role,
            self._provider,
            self._provider_change,
            self._map,
            self._signing_key,
            self._prune,
            self._erase,
        ]

    def step(self) -> None:
        """Something happens, some seconds after what happened before."""
        self.clock.at += self.dice.randrange(1, 40) * SECOND
        try:
            if len(self.accounts) < self.people and self.dice.random() < 0.3:
                self._create()
            else:
                self.dice.choice(self._steps)()
            self.accepted += 1
        except (Refusal, IndexError):
            pass  # as in life; there may be nothing to choose from, too

    def _someone(self) -> UUID:
        return self.dice.choice(self.accounts)

    def _create(self) -> None:
        name = f"person-{len(self.accounts)}"
        human = self.dice.random() < 0.8
        plaintext = self.house.plaintext(PASSWORD) if human else None
        kind = "human" if human else "system"
        made = self.house.accounts.create(BY, name, kind, plaintext=plaintext)
        self.accounts.append(made.id)
        self._names[made.id] = name

    def _sign_in(self) -> None:
        name = self._names[self._someone()]
        word = PASSWORD if self.dice.random() < 0.9 else "not the password at all"
        attempt = Attempt(name, self.house.plaintext(word))
        self._handed(self.house.logins.login(BY, attempt))

    def _handed(self, pair: SignedIn) -> None:
        assert isinstance(pair, TokenPair)
        self._owned(_jti(pair), pair.account_id)
        self._refresh.append(pair.refresh_token)

    def _owned(self, jti: UUID, account_id: UUID) -> None:
        self.tokens.append(jti)
        self.owners[jti] = account_id

    def _renew(self) -> None:
        place = self.dice.choice(range(len(self._refresh)))
        pair = self.house.sessions.renew(BY, self._refresh[place])
        self._owned(_jti(pair), pair.account_id)
        if self.dice.random() < 0.97:
            self._refresh[place] = pair.refresh_token

    def _grant(self) -> None:
        until = None
        if self.dice.random() < 0.5:
            until = self.clock.at + self.dice.randrange(1, 20_000) * SECOND
        self.house.roles.grant(BY, self._someone(), self.dice.choice(ROLES), expires_at=until)

    def _revoke(self) -> None:
        self.house.roles.revoke(BY, self._someone(), self.dice.choice(ROLES))

    def _issue(self) -> None:
        seconds = self.dice.randrange(60, 40_000)
        issued = self.house.tokens.issue(BY, self._someone(), expires_in=seconds)
        self._owned(issued.jti, issued.account_id)

    def _status(self) -> None:
        to = self.dice.choice(("active", "active", "inactive", "deleted", "restored", "restored"))
        self.house.accounts.set_status(BY, self._someone(), to)

    def _define(self) -> None:
        permissions = self.dice.sample(sorted(CATALOGUE), self.dice.randrange(1, 6))
        self.house.roles.define(BY, self.dice.choice(ROLES[:3]), permissions, "by chance")

    def _drop_role(self) -> None:
        self.house.roles.delete(BY, self.dice.choice(ROLES[:3]))

    def _key(self) -> None:
        account_id = self._someone()
        held = self.house.access.api_keys_of(account_id, self.clock.at)
        if held and self.dice.random() < 0.5:
            self.house.api_keys.revoke(BY, account_id, held[0].key_id)
        else:
            self.house.api_keys.create(BY, account_id, name="a machine")

    def _rename(self) -> None:
        account_id = self._someone()
        name = f"{self._names[account_id]}-x"[:60]
        self.house.accounts.change(BY, account_id, Changes(username=name))
        self._names[account_id] = name

    def _end_token(self) -> None:
        self.house.tokens.revoke(BY, self.dice.choice(self.tokens))

    def _end_session(self) -> None:
        account_id = self._someone()
        lived = self.house.access.sessions_of(account_id, self.clock.at)
        self.house.sessions.end(BY, account_id, self.dice.choice(lived).session_id)

    def _end_all(self) -> None:
        self.house.tokens.revoke_all(BY, self._someone())

    def _provider(self) -> None:
        name = f"provider-{self.dice.randrange(4)}"
        configured = Configuration(name, f"https://{name}.example", "gatebook")
        self.house.providers.create(BY, configured, "a client's secret")

    def _provider_change(self) -> None:
        provider_id = self.dice.choice(self.house.federations.provider_ids())
        if self.dice.random() < 0.3:
            self.house.providers.remove(BY, provider_id)
        else:
            changed = {"enabled": self.dice.random() < 0.5}
            self.house.providers.change(BY, provider_id, changed, None)

    def _map(self) -> None:
        mappings = self.house.federations.mappings()
        if mappings and self.dice.random() < 0.4:
            self.house.providers.unmap_group(BY, self.dice.choice(mappings).mapping_id)
            return
        provider_id = self.dice.choice(self.house.federations.provider_ids())
        group, role = self.dice.choice(GROUPS), self.dice.choice(ROLES)
        self.house.providers.map_group(BY, provider_id, group, role)

    def _signing_key(self) -> None:
        if self.dice.random() < 0.9:
            return
        published = self.house.access.keys()
        if len(published) > 2:
            self.house.keys.retire(BY, published[0].kid)
        else:
            self.house.keys.rotate(BY, lead=60)

    def _prune(self) -> None:
        if self.dice.random() < 0.1:
            self.house.tokens.prune(system(), self.clock.at - 86_400 * SECOND)

    def _erase(self) -> None:
        if self.dice.random() < 0.2:
            account_id = self._someone()
            self.house.accounts.erase(BY, account_id, self._names[account_id])


def _jti(pair: TokenPair) -> UUID:
    return UUID(jwt.decode(pair.access_token, options={"verify_signature": False})["jti"])
