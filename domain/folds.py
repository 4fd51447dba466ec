"""How each kind of stream is folded: its deciders' own `evolve`, by the name of the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from gatebook.domain import (
    account,
    administrators,
    api_key,
    attempts,
    break_glass,
    challenge,
    client,
    factors,
    first_admin,
    group_mapping,
    idempotency,
    identity,
    passkey,
    password,
    policy,
    provider,
    readings,
    recovery_codes,
    role,
    session,
    signing_keys,
    token,
    totp,
    username,
)
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event


class Fold(msgspec.Struct, frozen=True):
    """The state before the first event, and what an event makes of a state.

    `tail`: so many of the last events are the whole state; None: it takes all of them.
    """

    initial: Any
    evolve: Callable[[Any, Any], Any]
    tail: int | None = None


class Standing(msgspec.Struct, frozen=True):
    """A stream's state and version; version 0 before its first event."""

    state: Any
    version: int = 0


NOTHING: Final = Fold(None, lambda _state, _event: None, 1)
"""Of streams that nobody decides by: only their length counts."""

FOLDS: Final[dict[str, Fold]] = {
    "account": Fold(account.Account(), account.evolve),
    "administrators": Fold(administrators.Roster(), administrators.evolve),
    "api-key": Fold(api_key.ApiKey(), api_key.evolve),
    "attempts": Fold(attempts.Attempts(), attempts.evolve, attempts.TAIL),
    "audit-readings": Fold(readings.Readings(), readings.evolve),
    "breakglass": Fold(break_glass.Credential(), break_glass.evolve, break_glass.TAIL),
    "client": Fold(client.Client(), client.evolve, client.TAIL),
    "command": Fold(idempotency.Done(), idempotency.evolve),
    "factors": Fold(factors.Factors(), factors.evolve, factors.TAIL),
    "first-admin": Fold(first_admin.Seat(), first_admin.evolve),
    "group-mapping": Fold(group_mapping.GroupMapping(), group_mapping.evolve),
    "identity": Fold(identity.Identity(), identity.evolve),
    "mfa": Fold(challenge.Challenge(), challenge.evolve),
    "passkey": Fold(passkey.Passkey(), passkey.evolve),
    "passkey-uses": Fold(passkey.Uses(), passkey.evolve_uses, passkey.USES_TAIL),
    "password": Fold(password.Password(), password.evolve, password.TAIL),
    "policy": Fold(policy.Adopted(), policy.evolve),
    "provider": Fold(provider.Provider(), provider.evolve),
    "recovery-codes": Fold(
        recovery_codes.RecoveryCodes(), recovery_codes.evolve, recovery_codes.TAIL
    ),
    "role": Fold(role.Role(), role.evolve),
    "session": Fold(session.Session(), session.evolve),
    "signing-keys": Fold(signing_keys.Ring(), signing_keys.evolve),
    "token": Fold(token.Token(), token.evolve),
    "totp": Fold(totp.Totp(), totp.evolve, totp.TAIL),
    "totp-offers": Fold(totp.Offer(), totp.evolve_offer, totp.TAIL),
    "totp-uses": Fold(totp.Uses(), totp.evolve_uses, totp.TAIL),
    "username": Fold(username.Username(), username.evolve),
}


def fold_of(event: type[Event] | Event) -> Fold:
    """How the stream of an event is folded."""
    return FOLDS.get(event.STREAM, NOTHING)


def folded(stream: str, events: Iterable[Recorded]) -> Standing:
    """A stream as these events of it leave it; those of another kind of stream are none of it."""
    fold = FOLDS.get(stream, NOTHING)
    state, version = fold.initial, 0
    for recorded in events:
        if stream == recorded.event.STREAM:
            state, version = fold.evolve(state, recorded.event), recorded.version
    return Standing(state, version)
