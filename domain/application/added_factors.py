"""What adding a factor does to the sessions of its account."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain import account as accounts
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By
from gatebook.domain.application.sessions import Sessions
from gatebook.domain.envelope import Entry
from gatebook.domain.proofs import Proof


class AddedFactors:
    """The sessions after a factor was added."""

    def __init__(self, accounts_: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts_
        self._sessions = sessions

    def settle(
        self, by: By, account_id: UUID, proof: Proof, now: int, *, was_due: bool
    ) -> tuple[list[Entry], BrowserSession | None]:
        """The session in which it was added is worth more; the first factor ends all others.

        Those were opened with less than is asked for from now on: whoever knew the password
        before must not go on, and put a factor of his own in its place.
        """
        if was_due:
            return self._sessions.raised(by, proof, now)
        held = self._accounts.load(account_id).loaded
        entries = held.entries(accounts.decide(accounts.RevokeTokens(), held.state))
        raised, reissued = self._sessions.raised(by, proof, now, epoch=held.state.epoch + 1)
        return entries + raised, reissued
