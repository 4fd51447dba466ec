"""Decisions about credentials, made again. Of what was secret only that it was there counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gatebook.domain import (
    api_key,
    break_glass,
    factors,
    passkey,
    password,
    recovery_codes,
    totp,
)
from gatebook.domain.decisions import Case, Judge, Unknown, granted, held
from gatebook.domain.event import Event

ERASED: Final = "It was decided from a secret that is erased."


def _own_secret(case: Case, present: object) -> None:
    """Raises Unknown when a state that should hold a secret holds none: the key is destroyed."""
    if not present and case.inputs["stream_version"] > 0:
        raise Unknown(ERASED)


def _password_set(case: Case, event: password.PasswordSet) -> Sequence[Event]:
    return [msgspec.structs.replace(event)] if held(case.account(event.account_id)) else []


def _password_replaced(
    case: Case, event: password.PasswordRehashed | password.PasswordRemoved
) -> Sequence[Event]:
    """There has to be one before."""
    phc = case.own.phc
    _own_secret(case, phc)
    return [event] if phc is not None else []


def _api_key_created(case: Case, event: api_key.ApiKeyCreated) -> Sequence[Event]:
    if case.account(event.account_id).status != "active":
        return []
    if event.expires_at is not None and event.expires_at <= case.at and event.replaces is None:
        return []
    secret = event.secret or api_key.ApiKeyMaterial(b"", "")
    order = api_key.Order(
        event.account_id, secret.digest, secret.name, event.scope, event.expires_at, event.replaces
    )
    made = api_key.create(order)
    return [msgspec.structs.replace(one, secret=event.secret) for one in made]


def _api_key_rotated(case: Case, event: api_key.ApiKeyRotated) -> Sequence[Event]:
    return api_key.rotate(event.successor, event.expires_at, case.at, case.own)


def _api_key_revoked(case: Case, _event: Event) -> Sequence[Event]:
    return api_key.revoke(case.own)


def _factors(case: Case, event: factors.FactorsChanged) -> Sequence[Event]:
    wanted = factors.evolve(factors.Factors(), event)
    return factors.become(event.account_id, wanted, case.own)


def _totp_offered(case: Case, event: totp.TotpOffered) -> Sequence[Event]:
    if case.account(event.account_id).status != "active":
        return []
    return [msgspec.structs.replace(event, expires_at=case.at + totp.OFFERED_FOR)]


def _totp_confirmed(case: Case, event: totp.TotpConfirmed) -> Sequence[Event]:
    """The offer that still waited, confirmed by a code of its secret."""
    offer = case.before.of("totp-offers", totp.offers_id(event.account_id))
    case.saw("offer", offer.version)
    if offer.version and offer.state.key is None:
        raise Unknown(ERASED)
    key = totp.pending(offer.state, offer.version, case.own, case.at)
    if key is None:
        return []
    secret = totp.TotpSecret(key)
    return [
        totp.TotpConfirmed(
            account_id=event.account_id, secret=secret, step=event.step, offer=offer.version
        )
    ]


def _totp_removed(case: Case, event: totp.TotpRemoved) -> Sequence[Event]:
    known: factors.Factors = case.of("factors", factors.stream_id(event.account_id))
    offer = case.before.of("totp-offers", totp.offers_id(event.account_id))
    if not known.totp and case.own.key is None:
        return []
    return [msgspec.structs.replace(event, offer=offer.version)]


def _totp_used(case: Case, event: totp.TotpUsed) -> Sequence[Event]:
    """A code of a step is accepted once, and none of an earlier one after it.

    A secret that is new begins anew, with the step of the code that confirmed it.
    """
    case.saw("step_before", case.own.step)
    confirmed = any(isinstance(one.event, totp.TotpConfirmed) for one in case.before.together())
    return [event] if confirmed or event.step > case.own.step else []


def _codes_generated(case: Case, event: recovery_codes.RecoveryCodesGenerated) -> Sequence[Event]:
    return [event] if case.account(event.account_id).status == "active" else []


def _code_used(case: Case, event: recovery_codes.RecoveryCodeUsed) -> Sequence[Event]:
    state: recovery_codes.RecoveryCodes = case.own
    _own_secret(case, state.hashes)
    case.saw("codes_left", state.left)
    known = event.index < len(state.hashes) and event.index not in state.used
    return [event] if known else []


def _codes_removed(case: Case, event: recovery_codes.RecoveryCodesRemoved) -> Sequence[Event]:
    known: factors.Factors = case.of("factors", factors.stream_id(event.account_id))
    return [event] if case.own.hashes or known.recovery_codes else []


def _passkey_registered(case: Case, event: passkey.PasskeyRegistered) -> Sequence[Event]:
    """Each id once, ever: a removed one does not come back either."""
    known: factors.Factors = case.of("factors", factors.stream_id(event.account_id))
    _ = case.own
    fresh = case.inputs["stream_version"] == 0 and len(known.passkeys) < passkey.MOST
    return [event] if fresh and event.user_verified else []


def _passkey_removed(case: Case, event: passkey.PasskeyRemoved) -> Sequence[Event]:
    state: passkey.Passkey = case.own
    return [event] if state.live and state.account_id == event.account_id else []


def _uses(case: Case, account_id: object) -> passkey.Uses:
    """What the last use left; before the first, what the registration said."""
    uses: passkey.Uses = case.own
    if case.inputs["stream_version"]:
        return uses
    known: factors.Factors = case.of("factors", factors.stream_id(account_id))  # type: ignore[arg-type]  # of the event
    for credential_id in known.passkeys:
        if passkey.uses_id(credential_id) == case.recorded.stream_id:
            found: passkey.Passkey = case.of("passkey", passkey.stream_id(credential_id))
            return found.first or uses
    raise Unknown("The log does not say which passkey it was.")


def _passkey_used(case: Case, event: passkey.PasskeyUsed) -> Sequence[Event]:
    uses = _uses(case, event.account_id)
    case.saw("count_before", uses.sign_count)
    seen = passkey.Assertion(
        event.sign_count,
        backup_eligible=False,
        backed_up=event.backed_up,
        user_verified=event.user_verified,
    )
    return passkey.use(event.account_id, seen, uses) if passkey.counted(seen, uses) else []


def _backup_changed(case: Case, event: passkey.PasskeyBackupChanged) -> Sequence[Event]:
    uses = _uses(case, event.account_id)
    seen = passkey.Assertion(
        uses.sign_count + 1,
        backup_eligible=False,
        backed_up=event.backed_up,
        user_verified=True,
    )
    return passkey.use(event.account_id, seen, uses)


def _clone(case: Case, event: passkey.PasskeyCloneSuspected) -> Sequence[Event]:
    uses = _uses(case, event.account_id)
    case.saw("count_before", uses.sign_count)
    case.saw("count_shown", event.received)
    seen = passkey.Assertion(
        event.received, backup_eligible=False, backed_up=False, user_verified=True
    )
    if passkey.counted(seen, uses):
        return []
    return [msgspec.structs.replace(event, sign_count=uses.sign_count, backed_up=uses.backed_up)]


def _spent(case: Case, event: passkey.PasskeyChallengeSpent) -> Sequence[Event]:
    """A challenge is answered once."""
    _ = case.own
    return [event] if case.inputs["stream_version"] == 0 else []


def _break_glass_set(case: Case, event: break_glass.CredentialSet) -> Sequence[Event]:
    if not held(case.account(event.account_id)):
        return []
    made = [
        break_glass.set_to(
            event.account_id,
            "",
            case.at,
            lifetime=adopted.break_glass_expires_after,
            once=adopted.break_glass_once,
        )
        for adopted in case.policies()
    ]
    now = [msgspec.structs.replace(one, secret=event.secret) for one in made]
    return [event] if event in now else now[:1]


def _break_glass_removed(case: Case, event: break_glass.CredentialRemoved) -> Sequence[Event]:
    _own_secret(case, case.own.phc)
    return break_glass.remove(event.account_id, case.own)


def _break_glass_expired(case: Case, event: break_glass.CredentialExpired) -> Sequence[Event]:
    state: break_glass.Credential = case.own
    _own_secret(case, state.phc)
    case.saw("cause", event.cause)
    due = state.expired(case.at) if event.cause == "time" else state.once
    return break_glass.expire(event.account_id, event.cause, state) if due else []  # type: ignore[arg-type]  # as recorded


def _break_glass_used(case: Case, event: break_glass.LoginSucceeded) -> Sequence[Event]:
    held_now = break_glass.PERMISSION in granted(case, event.account_id)
    credential: break_glass.Credential = case.of(
        "breakglass", break_glass.stream_id(event.account_id)
    )
    case.saw("permission_held", held_now)
    case.saw("expired", credential.expired(case.at))
    return [event] if held_now and not credential.expired(case.at) else []


JUDGES: Final[dict[type[Event], Judge]] = {
    password.PasswordSet: _password_set,
    password.PasswordRehashed: _password_replaced,
    password.PasswordRemoved: _password_replaced,
    api_key.ApiKeyCreated: _api_key_created,
    api_key.ApiKeyRotated: _api_key_rotated,
    api_key.ApiKeyRevoked: _api_key_revoked,
    factors.FactorsChanged: _factors,
    totp.TotpOffered: _totp_offered,
    totp.TotpConfirmed: _totp_confirmed,
    totp.TotpRemoved: _totp_removed,
    totp.TotpUsed: _totp_used,
    recovery_codes.RecoveryCodesGenerated: _codes_generated,
    recovery_codes.RecoveryCodeUsed: _code_used,
    recovery_codes.RecoveryCodesRemoved: _codes_removed,
    passkey.PasskeyRegistered: _passkey_registered,
    passkey.PasskeyRemoved: _passkey_removed,
    passkey.PasskeyUsed: _passkey_used,
    passkey.PasskeyBackupChanged: _backup_changed,
    passkey.PasskeyCloneSuspected: _clone,
    passkey.PasskeyChallengeSpent: _spent,
    break_glass.CredentialSet: _break_glass_set,
    break_glass.CredentialRemoved: _break_glass_removed,
    break_glass.CredentialExpired: _break_glass_expired,
    break_glass.LoginSucceeded: _break_glass_used,
}
"""How each of these events was decided."""
