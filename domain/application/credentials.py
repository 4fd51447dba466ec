"""The credentials of an account, whatever their kind: listed, and removed by an operator."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import password, totp
from gatebook.domain.access import HeldCredential
from gatebook.domain.application.accounts import Accounts, LoadedAccount
from gatebook.domain.application.api_keys import ApiKeys
from gatebook.domain.application.core import By, Decision, Gatebook
from gatebook.domain.application.passkeys import Passkeys
from gatebook.domain.application.second_factors import SecondFactors
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import Conflict, NotFound

CAUSE = "operator"

Removal = Callable[[By, LoadedAccount, UUID, int], list[Entry]]
"""(who, whose account, credential id, now) to the entries that remove it; none: no such one."""


class CredentialView(msgspec.Struct, frozen=True):
    """A credential as it is shown. Times in microseconds."""

    credential: HeldCredential
    name: str | None
    last_used_at: int | None


class Credentials:
    """The commands on others' credentials.

    `removals` says for each kind what removes it. A break-glass credential is not among them: that
    needs a permission of its own.
    """

    def __init__(
        self,
        app: Gatebook,
        accounts_: Accounts,
        second_factors: SecondFactors,
        passkeys: Passkeys,
        api_keys: ApiKeys,
    ) -> None:
        self._app = app
        self._accounts = accounts_
        self._factors = second_factors
        self._passkeys = passkeys
        self.removals: dict[str, Removal] = {
            "password": self._remove_password,
            "totp": lambda _by, loaded, _id, _now: _with_its_sessions(
                loaded, second_factors.removed_totp(loaded.loaded.stream_id, CAUSE)
            ),
            "recovery-codes": lambda _by, loaded, _id, _now: second_factors.removed_recovery_codes(
                loaded.loaded.stream_id, CAUSE
            ),
            "api-key": lambda _by, loaded, credential_id, _now: api_keys.revoked(
                loaded.loaded.stream_id, credential_id
            ),
            "passkey": lambda _by, loaded, credential_id, _now: _with_its_sessions(
                loaded, passkeys.removed(loaded.loaded.stream_id, credential_id, CAUSE)
            ),
        }

    def views(self, account_id: UUID) -> list[CredentialView]:
        """What an account has, oldest first."""
        return [self._view(one) for one in self._app.access.credentials_of(account_id)]

    def remove(self, by: By, account_id: UUID, credential_id: UUID) -> None:
        """Removes a credential of an account. Raises NotFound, Conflict for a kind of its own.

        Who may do what the remover may not keeps his credentials, as he keeps his password.
        """

        def decide(now: int) -> Decision[None]:
            loaded = self._accounts.load_for_change(by, account_id, now, None)
            held = {one.credential_id: one for one in self._app.access.credentials_of(account_id)}
            if credential_id not in held:
                raise NotFound("There is no such credential.")
            kind = held[credential_id].kind
            removal = self.removals.get(kind)
            if removal is None:
                raise Conflict(f"A credential of the kind {kind} is removed by its own command.")
            entries = removal(by, loaded, credential_id, now)
            if not entries:
                raise NotFound("There is no such credential.")
            expected = {account_id: loaded.loaded.version}
            return Decision(None, entries, subject=account_id, expected=expected)

        self._app.run(by, decide)

    # --- details

    def _remove_password(
        self, _by: By, loaded: LoadedAccount, credential_id: UUID, _now: int
    ) -> list[Entry]:
        held = self._app.tail(credential_id, password.TAIL, password.Password(), password.evolve)
        if held.state.phc is None:
            return []
        account_id = loaded.loaded.stream_id
        removed = password.PasswordRemoved(account_id=account_id, cause=CAUSE)
        return _with_its_sessions(loaded, held.entries([removed]))

    def _view(self, one: HeldCredential) -> CredentialView:
        if one.kind == "passkey":
            state = self._passkeys.load(one.credential_id).state
            used = self._passkeys.last_used_at(state.credential_id)
            return CredentialView(one, state.name, used)
        if one.kind == "totp":
            newest = self._app.event_log.last(totp.uses_id(one.account_id), 1)
            return CredentialView(one, None, newest[0].metadata.at if newest else None)
        return CredentialView(one, None, None)


def _with_its_sessions(loaded: LoadedAccount, entries: list[Entry]) -> list[Entry]:
    """An operator takes away what may be stolen: sessions and tokens end, as at a reset."""
    if not entries:
        return []
    return entries + loaded.loaded.entries(accounts.decide(accounts.RevokeTokens(), loaded.state))
