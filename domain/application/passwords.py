"""Commands on passwords: set another's, change one's own, unlock."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain import account as accounts
from gatebook.domain import password, session
from gatebook.domain.application.accounts import Accounts, AccountView, LoadedAccount
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.sessions import Sessions
from gatebook.domain.application.tries import Tries
from gatebook.domain.attempts import Cause, Counter
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import Conflict, InvalidCredentials
from gatebook.domain.ports import Plaintext

UNLOCKED = frozenset({"password", "totp", "recovery-code"})
"""What an operator's unlocking clears. Break-glass has a command of its own."""


class Passwords:
    """The password commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, sessions: Sessions) -> None:
        self._app = app
        self._accounts = accounts_
        self._sessions = sessions
        self._tries = Tries(app)

    def set_password(
        self, by: By, account_id: UUID, plaintext: Plaintext, *, if_match: int | None = None
    ) -> AccountView:
        """Sets another's password, and ends every session and token issued until now."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self._accounts.load_for_change(by, account_id, now, if_match)
            view, entries = self._new(loaded, plaintext, now, origin="reset")
            if by.account_id == account_id:
                entries += self._kept(by, loaded.state.epoch + 1)
            return Decision(view, entries, subject=account_id)

        return self._app.run(by, decide)

    def change_password(self, by: By, current: Plaintext, new: Plaintext) -> BrowserSession | None:
        """Sets one's own password; one's other sessions and tokens end, this one stays.

        A browser's goes on under a new id, which is returned. A wrong current password counts
        towards the lockout like a refused sign-in.
        """
        account_id = by.account_id
        if account_id is None:
            raise InvalidCredentials("Nobody is signed in.")
        counter = Counter(account_id, "password")
        verified: dict[int, bool] = {}

        def decide(now: int) -> Decision[BrowserSession | None]:
            held, tries = self.load(account_id), self._tries.load(counter)
            loaded = self._accounts.load(account_id)
            if tries.state.locked(now):
                refusal = InvalidCredentials("The password is locked.")
                return self._tries.refused(counter, tries, now, refusal)
            if held.version not in verified:
                verified[held.version] = current.matches(held.state.phc)
            if not verified[held.version]:
                cause: Cause = "wrong-password" if held.state.phc else "no-password"
                failed = self._tries.failed(counter, tries, cause, now)
                refusal = InvalidCredentials("The current password is wrong.")
                return Decision(None, failed, refusal)
            _view, entries = self._new(loaded, new, now, origin="changed")
            kept, reissued = self._own_session(by, loaded.state.epoch + 1, now)
            expected = {tries.stream_id: tries.version}
            return Decision(reissued, entries + kept, subject=account_id, expected=expected)

        with self._tries.reserved(counter):
            return self._app.run(by, decide)

    def unlock(self, by: By, account_id: UUID) -> None:
        """Clears a lockout."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None)
            return Decision(None, self._tries.unlock(account_id, UNLOCKED, "operator"))

        self._app.run(by, decide)

    def load(self, account_id: UUID) -> Loaded[password.Password]:
        """The password credential of an account."""
        stream_id = password.stream_id(account_id)
        return self._app.tail(stream_id, password.TAIL, password.Password(), password.evolve)

    def _own_session(
        self, by: By, epoch: int, now: int
    ) -> tuple[list[Entry], BrowserSession | None]:
        """What lets the caller's own session live on under the account's new epoch."""
        entries, reissued = self._sessions.reissue(by, now, epoch=epoch)
        return (entries, reissued) if reissued is not None else (self._kept(by, epoch), None)

    def _kept(self, by: By, epoch: int) -> list[Entry]:
        if by.session_id is None:
            return []
        current = self._app.session(by.session_id)
        return current.entries(session.keep(epoch, current.state))

    def _new(
        self, loaded: LoadedAccount, plaintext: Plaintext, now: int, *, origin: str
    ) -> tuple[AccountView, list[Entry]]:
        account_id = loaded.loaded.stream_id
        if loaded.state.profile is None or loaded.state.status in ("deleted", "erased"):
            raise Conflict("The account is deleted.")
        phc = self._accounts.secret(plaintext, loaded.state.profile)
        assert phc is not None  # a plaintext was given
        held = self.load(account_id)
        events = accounts.decide(accounts.RevokeTokens(), loaded.state)
        entries = loaded.loaded.entries(events)
        entries += held.entries([password.new(account_id, phc, origin)])
        entries += self._tries.unlock(account_id, frozenset({"password"}), "reset")
        return loaded.after(events, now), entries
