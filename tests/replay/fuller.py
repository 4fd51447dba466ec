"""A life with more in it: second factors, browsers, providers, break-glass, other policies."""

from __future__ import annotations

import contextlib

import msgspec

from gatebook.domain.application.break_glass import EmergencySignIn
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By
from gatebook.domain.application.families import TokenPair
from gatebook.domain.application.federation import Arrival
from gatebook.domain.application.logins import Attempt
from gatebook.domain.application.second_factors import GivenCode
from gatebook.domain.application.sessions import Delivery, SignedIn
from gatebook.domain.client import Client
from gatebook.domain.envelope import ANONYMOUS, Source, account_actor
from gatebook.domain.errors import Refusal
from gatebook.domain.federated_claims import Federated, FederationRefused
from gatebook.domain.policy import Lockout
from gatebook.domain.provider import Configuration
from gatebook.store.house import House, system
from gatebook.store.totp import code_at
from tests.past.living import BY, GROUPS, PASSWORD, SECOND, Life

ADDRESSES = ("192.0.2.1", "192.0.2.2", "198.51.100.7")
STEP = 30 * SECOND


class FullerLife(Life):
    """A `Life` in which people also act for themselves, from addresses, with what they hold."""

    def __init__(self, house: House, seed: int, people: int = 40) -> None:
        super().__init__(house, seed, people)
        self._secrets: dict[str, bytes] = {}
        self._codes: dict[str, list[str]] = {}
        self._callers: list[By] = []
        self._devices: list[tuple[str, str]] = []
        self._cookies: list[str] = []
        self._logins = 0
        self._steps += [
            *[self._try_password] * 30,
            *[self._browse] * 4,
            *[self._federated] * 8,
            *[self._emergency] * 4,
            *[self._as_himself] * 10,
            *[self._as_somebody] * 4,
            self._reset_password,
            self._unlock,
            self._emergency_set,
            self._configure_client,
            self._policy,
        ]

    def complete(self) -> None:
        """Leaves something of every kind behind, whatever chance has done."""
        house = self.house
        configured = Configuration("the last", "https://the-last.example", "gatebook")
        provider_id = house.providers.create(BY, configured, "a client's secret").provider_id
        house.providers.map_group(BY, provider_id, GROUPS[0], "viewer")
        said = Federated(configured.issuer, "somebody", (GROUPS[0],), username="somebody")
        arrival = Arrival(provider_id, said, b"the last", Delivery())
        account_id = house.federation.sign_in(self._stranger(), arrival).account_id
        house.api_keys.create(BY, account_id, name="a machine")
        house.break_glass.set_password(BY, account_id, house.plaintext(PASSWORD))
        machine = house.accounts.create(BY, "the-last-machine", "system")
        house.tokens.issue(BY, machine.id, expires_in=3600)
        for name in ("the-last-person", "the-last-erased"):
            person = house.accounts.create(BY, name, "human", plaintext=house.plaintext(PASSWORD))
        house.accounts.erase(BY, person.id, "the-last-erased")
        with contextlib.suppress(Refusal):
            wrong = house.plaintext("not the password at all")
            house.logins.login(self._stranger(), Attempt("the-last-person", wrong))

    # --- signing in

    def _try_password(self) -> None:
        """Now and then wrongly, and as often somebody else's."""
        account_id = self._someone()
        name = self._names[account_id]
        word = PASSWORD if self.dice.random() < 0.6 else "not the password at all"
        known = [cookie for whose, cookie in self._devices if whose == name]
        device = known[-1] if known and self.dice.random() < 0.3 else None
        if self.dice.random() < 0.05:
            name = f"nobody-{self.dice.randrange(5)}"
        attempt = Attempt(name, self.house.plaintext(word), device=device, given=self._given(name))
        signed_in = self.house.logins.login(self._stranger(), attempt)
        self._devices.append((name, signed_in.device))
        self._caller(signed_in)

    def _given(self, name: str) -> GivenCode | None:
        """The code that comes with a password, if there is one, and it is not forgotten."""
        if name in self._secrets and self.dice.random() < 0.7:
            step = self.clock.at // STEP
            return GivenCode("totp", code_at(self._secrets[name], step).decode())
        if self._codes.get(name) and self.dice.random() < 0.5:
            return GivenCode("recovery-code", self.dice.choice(self._codes[name]))
        return GivenCode("totp", "123456") if self.dice.random() < 0.2 else None

    def _browse(self) -> None:
        name = self._names[self._someone()]
        held = self.dice.choice(self._cookies) if self._cookies else None
        delivery = Delivery(browser=True, held=held)
        attempt = Attempt(name, self.house.plaintext(PASSWORD), delivery, given=self._given(name))
        self._caller(self.house.logins.login(self._stranger(), attempt))

    def _federated(self) -> None:
        provider_id = self.dice.choice(self.house.federations.provider_ids())
        issuer = self.house.providers.view(provider_id).configuration.issuer
        groups = tuple(self.dice.sample(GROUPS, self.dice.randrange(len(GROUPS) + 1)))
        sub = f"subject-{self.dice.randrange(10)}"
        said = Federated(issuer, sub, groups, sid=sub[-1], username=f"fed-{sub}", amr=("otp",))
        self._logins += 1
        state = self._logins.to_bytes(8, "big")
        delivery = Delivery(browser=self.dice.random() < 0.5)
        by = self._stranger()
        try:
            arrival = Arrival(provider_id, said, state, delivery)
            self._caller(self.house.federation.sign_in(by, arrival))
        except FederationRefused as refusal:
            self.house.federation.refused(by, provider_id, refusal)
        if self.dice.random() < 0.1:
            self.house.federation.logout(by, provider_id, jti=sub, sub=sub, sid="")

    def _emergency(self) -> None:
        account_id = self._someone()
        word = PASSWORD if self.dice.random() < 0.7 else "not the password at all"
        sign_in = EmergencySignIn(str(account_id), account_id, self.house.plaintext(word))
        self._caller(self.house.break_glass.login(self._stranger(), sign_in))

    def _emergency_set(self) -> None:
        account_id = self._someone()
        if self.dice.random() < 0.3:
            self.house.break_glass.remove(BY, account_id)
            return
        self.house.roles.grant(BY, account_id, "admin")
        self.house.break_glass.set_password(BY, account_id, self.house.plaintext(PASSWORD))

    def _stranger(self) -> By:
        source = Source(self.dice.choice(ADDRESSES), "curl")
        return By(ANONYMOUS, request_id=f"r-{self.clock.at}", source=source)

    def _caller(self, signed_in: SignedIn) -> None:
        """Remembers who signed in, as a request of his would say it."""
        if isinstance(signed_in, TokenPair):
            self._handed(signed_in)
            kind, presented_id = "token", self.tokens[-1]
        else:
            assert isinstance(signed_in, BrowserSession)
            self._cookies.append(signed_in.cookie)
            kind, presented_id = "session", signed_in.session_id
        caller = self.house.access.caller(kind, presented_id, self.clock.at)
        assert caller is not None
        self._callers.append(
            By(
                account_actor(caller.account_id),
                source=Source(self.dice.choice(ADDRESSES), "curl"),
                permissions=caller.permissions,
                account_id=caller.account_id,
                epoch=caller.epoch,
                presented=(kind, presented_id),
                session_id=caller.session_id,
                auth_time=caller.auth_time,
                acr=caller.acr,
            )
        )

    # --- what somebody does who is signed in

    def _as_himself(self) -> None:
        by = self._callers[-self.dice.randrange(1, 6)]
        account_id = by.account_id
        assert account_id is not None
        name, deed = self._names.get(account_id, ""), self.dice.randrange(8)
        if deed < 2:
            self.house.passwords.change_password(
                by, self.house.plaintext(PASSWORD), self.house.plaintext(PASSWORD)
            )
        elif deed == 2:
            key = self.house.enrolments.offer_totp(by).key
            self.clock.at += STEP
            step = self.clock.at // STEP
            self.house.enrolments.confirm_totp(by, code_at(key, step).decode())
            self._secrets[name] = key
        elif deed == 3:
            self._codes[name] = self.house.enrolments.generate_recovery_codes(by)
        elif deed == 4:
            self.house.sessions.end_others(by)
        elif deed == 5:
            self.house.sessions.logout(by, everywhere=self.dice.random() < 0.3)
        elif deed == 6:
            self._secrets.pop(name, None)
            self.house.enrolments.remove_totp_by_password(by, self.house.plaintext(PASSWORD))
        else:
            self.house.enrolments.confirm_totp(by, "000000")

    def _as_somebody(self) -> None:
        """Somebody with what roles he has, who may reach beyond them."""
        by = self.dice.choice(self._callers[-10:])
        whom, role = self._someone(), self.dice.choice(("red", "green", "admin", "viewer"))
        self.house.roles.grant(by, whom, role)

    # --- what operators do

    def _reset_password(self) -> None:
        account_id = self._someone()
        if self.dice.random() < 0.8:
            self.house.passwords.set_password(BY, account_id, self.house.plaintext(PASSWORD))
            return
        held = self.house.access.credentials_of(account_id)
        self.house.credentials.remove(BY, account_id, self.dice.choice(held).credential_id)

    def _unlock(self) -> None:
        self.house.passwords.unlock(BY, self._someone())
        self.house.break_glass.unlock(BY, self._someone())

    def _configure_client(self) -> None:
        account_id = self._someone()
        if self.dice.random() < 0.3:
            self.house.clients.remove(BY, account_id)
        else:
            scopes = tuple(self.dice.sample(["a", "b", "c"], 2))
            self.house.clients.configure(BY, account_id, Client(scopes=scopes))

    def _policy(self) -> None:
        """Another policy, as another start of the service would adopt it."""
        app = self.house.app
        lockout = Lockout(self.dice.choice((3, 5)), 900 * SECOND, 3600 * SECOND)
        policy = msgspec.structs.replace(
            app.policy,
            lockout=lockout,
            access_lifetime=self.dice.choice((600, 900)) * SECOND,
            break_glass_once=self.dice.random() < 0.5,
        )
        app.configuration = msgspec.structs.replace(app.configuration, policy=policy)
        app._policy_version = 0
        self.house.bootstrap.prepare(system())
