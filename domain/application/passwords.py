"""Commands on passwords: set another's, change one's own, unlock."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain import account as accounts
from gatebook.domain import attempts, password, session
from gatebook.domain.application.accounts import Accounts, AccountView, LoadedAccount
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.errors import Conflict, InvalidCredentials
from gatebook.domain.ports import Plaintext

METHOD = "password"


class Passwords:
    """The password commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts) -> None:
        self._app = app
        self._accounts = accounts_

    def set_password(
        self, by: By, account_id: UUID, plaintext: Plaintext, *, if_match: int | None = None
    ) -> AccountView:
        """Sets another's password, and ends every session and token issued until now."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self._accounts.load_for_change(by, account_id, now, if_match)
            return self._new(by, loaded, plaintext, now, origin="reset")

        return self._app.run(by, decide)

    def change_password(self, by: By, current: Plaintext, new: Plaintext) -> AccountView:
        """Sets one's own password; one's other sessions and tokens end, this one stays.

        A wrong current password counts towards the lockout like a refused sign-in.
        """
        account_id = by.account_id
        if account_id is None:
            raise InvalidCredentials("Nobody is signed in.")

        verified: dict[int, bool] = {}

        def decide(now: int) -> Decision[AccountView]:
            held, tries = self.load(account_id), self.load_attempts(account_id)
            if held.version not in verified:
                verified[held.version] = current.matches(held.state.phc)
            matched = verified[held.version]
            loaded = self._accounts.load(account_id)
            if tries.state.locked(now):
                self._app.refusals.count(account_id.bytes, now)
                raise InvalidCredentials("The password is locked.")
            if not matched:
                failed = attempts.fail(
                    account_id=account_id,
                    method=METHOD,
                    cause="wrong-password" if held.state.phc else "no-password",
                    matched=False,
                    at=now,
                    state=tries.state,
                    lockout=self._app.policy.lockout,
                    policy=self._app.policy_version,
                )
                refusal = InvalidCredentials("The current password is wrong.")
                return Decision(loaded.view(now), tries.entries([failed]), refusal)
            return self._new(by, loaded, new, now, origin="changed", tries=tries)

        return self._app.run(by, decide)

    def unlock(self, by: By, account_id: UUID) -> None:
        """Clears a lockout."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None)
            tries = self.load_attempts(account_id)
            cleared = attempts.clear(account_id, METHOD, "operator", tries.state)
            return Decision(None, tries.entries(cleared))

        self._app.run(by, decide)

    def load(self, account_id: UUID) -> Loaded[password.Password]:
        """The password credential of an account."""
        stream_id = password.stream_id(account_id)
        return self._app.tail(stream_id, password.TAIL, password.Password(), password.evolve)

    def load_attempts(self, account_id: UUID) -> Loaded[attempts.Attempts]:
        """What was tried against it."""
        return self._app.tail(
            attempts.stream_id(account_id, METHOD),
            attempts.TAIL,
            attempts.Attempts(),
            attempts.evolve,
        )

    def _new(
        self,
        by: By,
        loaded: LoadedAccount,
        plaintext: Plaintext,
        now: int,
        *,
        origin: str,
        tries: Loaded[attempts.Attempts] | None = None,
    ) -> Decision[AccountView]:
        account_id = loaded.loaded.stream_id
        if loaded.state.profile is None or loaded.state.status in ("deleted", "erased"):
            raise Conflict("The account is deleted.")
        phc = self._accounts.secret(plaintext, loaded.state.profile)
        assert phc is not None  # a plaintext was given
        held, tries = self.load(account_id), tries or self.load_attempts(account_id)
        events = accounts.decide(accounts.RevokeTokens(), loaded.state)
        entries = loaded.loaded.entries(events)
        entries += held.entries([password.new(account_id, phc, origin)])
        entries += tries.entries(attempts.clear(account_id, METHOD, "reset", tries.state))
        if by.account_id == account_id and by.session_id is not None:
            current = self._app.load(by.session_id, session.Session(), session.evolve)
            entries += current.entries(session.keep(loaded.state.epoch + 1, current.state))
        expected = {tries.stream_id: tries.version}
        return Decision(loaded.after(events, now), entries, subject=account_id, expected=expected)
