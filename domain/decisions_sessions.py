"""Sessions and tokens, decided again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gatebook.domain import (
    federation,
    proofs,
    session,
    token,
)
from gatebook.domain.decisions import Case, Judge, Unknown
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.domain.policy import Policy
from gatebook.domain.proofs import AAL2, Proof
from gatebook.domain.session import Session

_KNOWN: Final = {
    one.method: one
    for one in (proofs.PASSWORD, proofs.TOTP, proofs.RECOVERY_CODE, proofs.BREAK_GLASS)
}

# --- sessions


def _begun(case: Case, event: session.LoginSucceeded) -> Sequence[Event]:
    """The session that it opened is the next event of its stream, and says how it was proved."""
    following = [
        one.event
        for one in case.before.together()
        if one.stream_id == case.recorded.stream_id and isinstance(one.event, session.SessionOpened)
    ]
    if not following:
        return []
    return _opened_by(case, event, following[0])


def _opened(case: Case, event: session.SessionOpened) -> Sequence[Event]:
    for one in case.before.together():
        proved = one.event
        if one.stream_id == case.recorded.stream_id and isinstance(proved, session.LoginSucceeded):
            return _opened_by(case, proved, event)
    return _reissued(case, event)


def _opened_by(
    case: Case, proved: session.LoginSucceeded, opened: session.SessionOpened
) -> Sequence[Event]:
    account = case.account(proved.account_id)
    adopted = case.policy(proved.policy)
    browser = opened.idle is not None
    lifetime = adopted.session_absolute if browser else adopted.refresh_lifetime
    case.saw("proofs", proved.proofs)
    case.saw("failures_before", proved.failures_before)
    if account.status != "active":
        return []
    opening = session.Opening(
        account_id=proved.account_id,
        epoch=account.epoch,
        origin=opened.origin,  # type: ignore[arg-type]  # as recorded
        proofs=_proofs(proved.proofs, opened),
        at=case.at,
        lifetime=lifetime,
        failures_before=proved.failures_before,
        policy=proved.policy,
        idle=adopted.session_idle if browser else None,
        tokens=_pair(case, opened.tokens, adopted, case.at + lifetime),
        jkt=opened.jkt,
    )
    return session.begin(opening)


def _proofs(methods: Sequence[str], opened: session.SessionOpened) -> tuple[Proof, ...]:
    """What was proved. Of a passkey and a provider the session says how."""
    return tuple(_proof(method, opened) for method in methods)


def _proof(method: str, opened: session.SessionOpened) -> Proof:
    if method == "passkey":
        return proofs.passkey(verified="user" in opened.amr, synced="swk" in opened.amr)
    if method == "federation":
        said = tuple(word for word in opened.amr if word not in ("fed", "mfa"))
        return proofs.federated((*said, "mfa") if opened.acr == AAL2 else said)
    if method not in _KNOWN:
        raise Unknown(f"This program knows no proof {method!r}.")
    return _KNOWN[method]


def _pair(
    case: Case, recorded: session.Tokens | None, adopted: Policy, session_ends_at: int
) -> session.Tokens | None:
    """The pair that is made then; its id is the recorded one, as no other can be had again."""
    if recorded is None:
        return None
    ends_at = min(case.at + adopted.access_lifetime, session_ends_at)
    return session.Tokens(recorded.jti, case.signing_key(), token.whole(ends_at))


def _reissued(case: Case, event: session.SessionOpened) -> Sequence[Event]:
    """A browser's session that goes on under a new id, by the one that it came from."""
    for before in _left(case):
        state: Session = case.of("session", before.stream_id)
        if state.account_id == event.account_id:
            case.saw("session_before", before.stream_id)
            account = case.account(event.account_id)
            worth = msgspec.structs.replace(state, amr=event.amr, acr=event.acr)
            return session.reissue(account.epoch, worth)
    return []


def _left(case: Case) -> Iterator[Recorded]:
    for one in case.before.together():
        if isinstance(one.event, session.SessionEnded) and one.event.cause == "reissued":
            yield one


def _federated(case: Case, event: session.SessionFederated) -> Sequence[Event]:
    """Whoever vouched for the session before vouches for the one that goes on."""
    for before in _left(case):
        state: Session = case.of("session", before.stream_id)
        return [state.federated] if state.federated is not None else []
    return [msgspec.structs.replace(event, expires_at=case.own.expires_at)]


def _raised(case: Case, event: session.SessionRaised) -> Sequence[Event]:
    """Which proof it was is told by what it added."""
    state: Session = case.own
    case.saw("amr_before", state.amr)
    passkeys = [proofs.passkey(verified=v, synced=s) for v in (True, False) for s in (True, False)]
    tried = [session.raise_to(proof, state) for proof in (*_KNOWN.values(), *passkeys)]
    return next((events for events in tried if event in events), tried[0])


def _rotated(case: Case, event: session.SessionRotated) -> Sequence[Event]:
    state: Session = case.own
    pairs = [_pair(case, event.tokens, one, state.expires_at) for one in case.policies()]
    pair = event.tokens if event.tokens in pairs else pairs[0]
    assert pair is not None  # a rotation has one
    return session.renew(_renewal(case, state, state.rotations, pair), state)


def _reused(case: Case, _event: Event) -> Sequence[Event]:
    """The token that was shown is any that had been used before: the last of them stands for it."""
    state: Session = case.own
    if state.rotations == 0 or state.tokens is None:
        return []
    return session.renew(_renewal(case, state, state.rotations - 1, state.tokens), state)


def _renewal(case: Case, state: Session, rotation: int, pair: session.Tokens) -> session.Renew:
    if state.account_id is None:
        raise Unknown("The log has no beginning of the session.")
    account = case.account(state.account_id)
    case.saw("rotation_shown", rotation)
    case.saw("rotations_before", state.rotations)
    return session.Renew(
        rotation=rotation,
        successor=pair,
        account_epoch=account.epoch,
        account_active=account.status == "active",
        at=case.at,
    )


def _kept(case: Case, event: session.SessionKept) -> Sequence[Event]:
    return session.keep(case.account(event.account_id).epoch, case.own)


def _ended(case: Case, event: session.SessionEnded) -> Sequence[Event]:
    state: Session = case.own
    case.saw("cause", event.cause)
    case.saw("live_before", state.live)
    if event.cause == "reuse":
        return _reused(case, event)
    if event.cause == "rotations" and state.tokens is not None:
        return session.renew(_renewal(case, state, state.rotations, state.tokens), state)
    return session.end(event.cause, state)  # type: ignore[arg-type]  # as recorded


# --- tokens, and sign-ins at a provider


def _issued(case: Case, event: token.TokenIssued) -> Sequence[Event]:
    """Made for an active account under its epoch, no longer than the policy lets one live."""
    account, adopted = case.account(event.account_id), case.policies()
    longest = max(max(one.system_lifetime_max, one.access_lifetime) for one in adopted)
    latest = token.whole(case.at + longest)
    case.saw("expires_at_the_latest", latest)
    if account.status != "active":
        return []
    kid, expires_at = case.signing_key(), min(event.expires_at, latest)
    return [msgspec.structs.replace(event, epoch=account.epoch, kid=kid, expires_at=expires_at)]


def _token_revoked(case: Case, event: token.TokenRevoked) -> Sequence[Event]:
    case.saw("revoked_before", case.own.revoked)
    return token.revoke(event.account_id, event.session_id, case.own)


def _pruned(case: Case, event: token.TokensPruned) -> Sequence[Event]:
    return [event] if event.before <= case.at else []


def _once(case: Case, event: Event) -> Sequence[Event]:
    """Its stream is its own, and takes one event."""
    _ = case.own
    return [event] if case.inputs["stream_version"] == 0 else []


JUDGES: Final[dict[type[Event], Judge]] = {
    session.LoginSucceeded: _begun,
    session.SessionOpened: _opened,
    session.SessionFederated: _federated,
    session.SessionRaised: _raised,
    session.SessionRotated: _rotated,
    session.SessionKept: _kept,
    session.TokenReuseDetected: _reused,
    session.SessionEnded: _ended,
    token.TokenIssued: _issued,
    token.TokenRevoked: _token_revoked,
    token.TokensPruned: _pruned,
    federation.FederatedLoginCompleted: _once,
}
"""How each of these events was decided."""
