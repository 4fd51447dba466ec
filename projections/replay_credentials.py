"""The credentials of a replayed state. What is secret stays sealed: events say what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from gatebook.domain import (
    api_key,
    break_glass,
    factors,
    passkey,
    password,
    recovery_codes,
    totp,
)
from gatebook.domain.event import Event
from gatebook.projections.replayed import HeldBreakGlass, HeldCredential, HeldKey, Line

Take = Callable[[Line, Any], None]
"""What is done with an event."""

_MADE: Final[dict[type[Event], str]] = {
    password.PasswordSet: "password",
    totp.TotpConfirmed: "totp",
    recovery_codes.RecoveryCodesGenerated: "recovery-codes",
    passkey.PasskeyRegistered: "passkey",
}
_LOST: Final[tuple[type[Event], ...]] = (
    password.PasswordRemoved,
    totp.TotpRemoved,
    recovery_codes.RecoveryCodesRemoved,
    passkey.PasskeyRemoved,
)


class Credentials:
    """What accounts can prove, as far as the events lead."""

    def __init__(self) -> None:
        self.of_accounts: dict[UUID, dict[bytes, HeldCredential]] = {}
        self.api_keys: dict[bytes, HeldKey] = {}
        self.factors: dict[UUID, factors.Factors] = {}
        self.break_glass: dict[UUID, HeldBreakGlass] = {}
        self.takes: Final[dict[type[Event], Take]] = {
            break_glass.LoginSucceeded: self._break_glass_used,
            factors.FactorsChanged: self._factors,
            **dict.fromkeys(api_key.Happening.__args__, self._api_key),
            **dict.fromkeys(break_glass.Happening.__args__, self._break_glass),
            **dict.fromkeys((*_MADE, *_LOST), self._credential),
        }

    def erase(self, account_id: UUID) -> None:
        """The account's key is gone, and with it whatever it could be known by."""
        self.of_accounts.pop(account_id, None)
        self.factors.pop(account_id, None)
        self.break_glass.pop(account_id, None)
        for key in [k for k, one in self.api_keys.items() if one.state.account_id == account_id]:
            del self.api_keys[key]

    def prune(self, before: int) -> None:
        """API keys that ended before an instant are no longer listed."""
        ends = {key: one.state.expires_at for key, one in self.api_keys.items()}
        for key in [key for key, end in ends.items() if end is not None and end < before]:
            del self.api_keys[key]

    def _api_key(self, line: Line, event: api_key.Happening) -> None:
        held = self.api_keys.get(line.stream_id)
        state = api_key.evolve(held.state if held is not None else api_key.ApiKey(), event)
        if isinstance(event, api_key.ApiKeyCreated):
            self.api_keys[line.stream_id] = HeldKey(state, line.position, line.at)
            self._keep(line, event.account_id, "api-key", expires_at=event.expires_at)
            return
        if state.revoked:
            self.api_keys.pop(line.stream_id, None)
            self._lose(line, event.account_id)
            return
        if held is not None:
            held.state = state
        listed = self.of_accounts.get(event.account_id, {}).get(line.stream_id)
        if listed is not None:
            listed.expires_at = state.expires_at

    def _credential(self, line: Line, event: Any) -> None:
        """A kind of credential whose secret is sealed: the event says that it is there, or not."""
        kind = _MADE.get(type(event))
        if kind is None:
            self._lose(line, event.account_id)
        else:
            detail = {"password": "origin", "passkey": "attestation"}.get(kind)
            said = None if detail is None else getattr(event, detail)
            self._keep(line, event.account_id, kind, detail=said)

    def _break_glass(self, line: Line, event: break_glass.Happening) -> None:
        if isinstance(event, break_glass.CredentialSet):
            self._keep(line, event.account_id, "break-glass", expires_at=event.expires_at)
            self.break_glass[event.account_id] = HeldBreakGlass(
                line.at, event.expires_at, event.once
            )
        else:
            self._lose(line, event.account_id)
            self.break_glass.pop(event.account_id, None)

    def _break_glass_used(self, line: Line, event: break_glass.LoginSucceeded) -> None:
        held = self.break_glass.get(event.account_id)
        if held is not None:
            held.last_used_at = line.at

    def _factors(self, _line: Line, event: factors.FactorsChanged) -> None:
        state = factors.evolve(factors.Factors(), event)
        if state == factors.Factors():
            self.factors.pop(event.account_id, None)
        else:
            self.factors[event.account_id] = state

    def _keep(
        self,
        line: Line,
        account_id: UUID,
        kind: str,
        *,
        expires_at: int | None = None,
        detail: str | None = None,
    ) -> None:
        held = HeldCredential(kind, line.at, expires_at, detail)
        self.of_accounts.setdefault(account_id, {})[line.stream_id] = held

    def _lose(self, line: Line, account_id: UUID) -> None:
        self.of_accounts.get(account_id, {}).pop(line.stream_id, None)
