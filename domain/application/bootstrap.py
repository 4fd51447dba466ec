"""The beginning: the deployment's first events, and its first administrator."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain import account as accounts
from gatebook.domain import administrators, deployment, first_admin, policy, signing_keys
from gatebook.domain.account import Account
from gatebook.domain.application.accounts import Accounts, AccountView, LoadedAccount
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.roles import Roles
from gatebook.domain.application.sessions import Sessions, SignedIn, SignIn
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import SeatTaken
from gatebook.domain.permissions import ADMIN
from gatebook.domain.ports import Plaintext
from gatebook.domain.proofs import PASSWORD


class Bootstrap:
    """Sets a deployment up, and seats its first administrator."""

    def __init__(
        self, app: Gatebook, accounts_: Accounts, roles: Roles, sessions: Sessions
    ) -> None:
        self._app = app
        self._accounts = accounts_
        self._roles = roles
        self._sessions = sessions

    def prepare(self, by: By) -> None:
        """Records what a log must begin with: the deployment, its roles, its first signing key.

        Run at every start: it appends what is missing or has changed, and nothing else.
        """
        self._app.run(by, lambda now: Decision(None, self._preparation(now)))

    def _preparation(self, now: int) -> list[Entry]:
        app = self._app
        entries: list[Entry] = []
        begun = app.tail(deployment.STREAM_ID, 1, None, lambda s, _e: s)
        if begun.version == 0:
            release = deployment.DeploymentInitialised(release=app.configuration.release)
            entries += begun.entries([release])
        for loaded, events in self._roles.built_in():
            entries += loaded.entries(events)
        adopted = app.load(policy.STREAM_ID, policy.Adopted(), policy.evolve)
        entries += adopted.entries(policy.decide(app.policy, adopted.state))
        ring = app.load(signing_keys.STREAM_ID, signing_keys.Ring(), signing_keys.evolve)
        if ring.state.signing(now) is None:
            algorithm = app.configuration.algorithm
            kid, jwk = app.keys.create_signing_key(algorithm)
            created = signing_keys.create(kid, algorithm, jwk)
            published = signing_keys.evolve(ring.state, created[0])
            entries += ring.entries(created + signing_keys.activate(kid, now, published))
        return entries

    def available(self) -> bool:
        """Whether the first-admin seat is free."""
        return self._seat().state.account_id is None

    def with_token(self, by: By, name: str, plaintext: Plaintext) -> SignedIn:
        """Seats the first admin, who is signed in at once. The token was checked by the caller.

        Raises SeatTaken; of any number of racing calls exactly one succeeds.
        """
        if not self.available():
            raise SeatTaken("The first admin exists already.")
        account_id, profile = self._app.ids.account(), self._accounts.profile(name, "", "")
        phc = self._accounts.secret(plaintext, profile)

        def decide(now: int) -> Decision[SignedIn]:
            entries, state, _view = self._admin(account_id, profile, phc, "token", now)
            sign_in = SignIn(
                account_id=account_id,
                epoch=state.epoch,
                roles=state.roles(now),
                origin="bootstrap",
                proofs=(PASSWORD,),
            )
            opened, pair = self._sessions.open(sign_in, now)
            actor = account_actor(account_id)
            return Decision(pair, entries + opened, subject=account_id, actor=actor)

        return self._accounts.run_creation(by, account_id, decide)

    def local_admin(self, by: By, name: str, plaintext: Plaintext | None) -> AccountView:
        """Creates an administrator at the command line. Takes the seat if it is free."""
        account_id, profile = self._app.ids.account(), self._accounts.profile(name, "", "")
        phc = self._accounts.secret(plaintext, profile)

        def decide(now: int) -> Decision[AccountView]:
            entries, _state, view = self._admin(account_id, profile, phc, "local", now)
            return Decision(view, entries, subject=account_id)

        return self._accounts.run_creation(by, account_id, decide)

    def _admin(
        self,
        account_id: UUID,
        profile: accounts.Profile,
        phc: str | None,
        way: first_admin.Way,
        now: int,
    ) -> tuple[list[Entry], Account, AccountView]:
        seat = self._seat()
        entries: list[Entry] = []
        if way != "local" or seat.state.account_id is None:
            entries += seat.entries(first_admin.take(account_id, way, seat.state))
        entries += self._accounts.creation(account_id, "human", profile, phc)
        granted = accounts.RoleGranted(
            role=ADMIN, generation=1, expires_at=None, source="first-admin"
        )
        created = Loaded(account_id, 0, Account())
        events: list[accounts.Happening] = [
            accounts.AccountCreated(kind="human", profile=profile),
            granted,
        ]
        state = Account()
        for event in events:
            state = accounts.evolve(state, event)
        entries.append(Entry(account_id, 2, granted))
        roster = self._app.load(
            administrators.STREAM_ID, administrators.Roster(), administrators.evolve
        )
        entries += roster.entries(administrators.decide(account_id, state, roster.state))
        return entries, state, LoadedAccount(created, now, now).after(events, now)

    def _seat(self) -> Loaded[first_admin.Seat]:
        return self._app.load(first_admin.STREAM_ID, first_admin.Seat(), first_admin.evolve)
