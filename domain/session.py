"""A session: one sign-in, from proof to end, with the refresh tokens descended from it."""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.event import Event
from gatebook.domain.proofs import Proof, acr_of, amr_of, raised

Origin = Literal["login", "passkey", "bootstrap", "break-glass", "federation"]

MAX_ROTATIONS = 5_000
"""Where a family ends whatever happens: a thirty-day family at fifteen minutes needs 2,880."""

# --- events


class _SessionEvent(Event, frozen=True):
    STREAM = "session"
    account_id: UUID


class LoginSucceeded(_SessionEvent, frozen=True):
    """Somebody proved to be the account: by `proofs`, the methods in their order."""

    TOPIC = "login.succeeded.1"
    proofs: tuple[str, ...]
    failures_before: int
    policy: int


class Tokens(msgspec.Struct, frozen=True, array_like=True):
    """One pair: the access token's id, key, and end (microseconds).

    Neither token is kept: the refresh token is derived from the session and its rotation, and
    ends with the session.
    """

    jti: UUID
    kid: str
    expires_at: int


class SessionOpened(_SessionEvent, frozen=True):
    """The session lives under the account's `epoch` until `expires_at`. Times in microseconds.

    `origin` is what opened it: "login", "passkey", "bootstrap", "break-glass" or "federation".
    `tokens` is None for a session in a browser, which ends after `idle` without a request too.
    `jkt` is the thumbprint (RFC 7638) of the key that its tokens are bound to (RFC 9449), or "".
    """

    TOPIC = "session.opened.1"
    epoch: int
    origin: str
    amr: tuple[str, ...]
    acr: str
    auth_time: int
    expires_at: int
    idle: int | None
    tokens: Tokens | None
    jkt: str = ""


class SessionFederated(_SessionEvent, frozen=True):
    """A provider vouched for whoever opened the session, which ends at `expires_at` at the latest.

    The hashes are keyed: of the issuer and its subject, and of the issuer and its own session
    (empty when it named none). A provider's logout finds the session by either.
    """

    TOPIC = "session.federated.1"
    provider_id: UUID
    subject_hash: bytes
    sid_hash: bytes
    expires_at: int


class SessionRaised(_SessionEvent, frozen=True):
    """More was proved within the session: this is what it is worth from here on."""

    TOPIC = "session.raised.1"
    amr: tuple[str, ...]
    acr: str


class SessionRotated(_SessionEvent, frozen=True):
    """A refresh token was used: the pair before is dead, this one lives."""

    TOPIC = "session.rotated.1"
    tokens: Tokens


class SessionKept(_SessionEvent, frozen=True):
    """The session outlives the end of its account's others, under a new epoch."""

    TOPIC = "session.kept.1"
    epoch: int


class TokenReuseDetected(_SessionEvent, frozen=True):
    """A refresh token that had been used before was shown again: the whole family ends."""

    TOPIC = "token.reuse_detected.1"


class SessionEnded(_SessionEvent, frozen=True):
    """The session is over.

    `cause`: "logout", "revoked", "reuse", "rotations", "credential-changed", "idle", or when
    another session took its place: "reissued" (more was proved) or "replaced" (a new sign-in).
    """

    TOPIC = "session.ended.1"
    cause: str


Happening = (
    LoginSucceeded
    | SessionOpened
    | SessionFederated
    | SessionRaised
    | SessionRotated
    | SessionKept
    | TokenReuseDetected
    | SessionEnded
)

# --- state


class Session(msgspec.Struct, frozen=True):
    """As much of the past as `renew` and `end` need."""

    account_id: UUID | None = None
    live: bool = False
    epoch: int = 0
    origin: str = ""
    amr: tuple[str, ...] = ()
    acr: str = ""
    auth_time: int = 0
    expires_at: int = 0
    idle: int | None = None
    rotations: int = 0
    tokens: Tokens | None = None
    jkt: str = ""
    federated: SessionFederated | None = None


# --- decisions


class Opening(msgspec.Struct, frozen=True):
    """A sign-in that is complete. `lifetime` and `idle` are microseconds."""

    account_id: UUID
    epoch: int
    origin: Origin
    proofs: tuple[Proof, ...]
    at: int
    lifetime: int
    failures_before: int
    policy: int
    idle: int | None = None
    tokens: Tokens | None = None
    jkt: str = ""


def begin(opening: Opening) -> list[Happening]:
    """Somebody proved to be the account at an instant: the proof, and the session it opens."""
    return [
        LoginSucceeded(
            account_id=opening.account_id,
            proofs=tuple(proof.method for proof in opening.proofs),
            failures_before=opening.failures_before,
            policy=opening.policy,
        ),
        SessionOpened(
            account_id=opening.account_id,
            epoch=opening.epoch,
            origin=opening.origin,
            amr=amr_of(opening.proofs),
            acr=acr_of(opening.proofs),
            auth_time=opening.at,
            expires_at=opening.at + opening.lifetime,
            idle=opening.idle,
            tokens=opening.tokens,
            jkt=opening.jkt,
        ),
    ]


def keep(epoch: int, state: Session) -> list[Happening]:
    """Lets a session that lives outlive the end of its account's others."""
    if not state.live or state.account_id is None:
        return []
    return [SessionKept(account_id=state.account_id, epoch=epoch)]


class Renew(msgspec.Struct, frozen=True):
    """An authentic refresh token was shown: the one of `rotation`. `successor` would follow it."""

    rotation: int
    successor: Tokens
    account_epoch: int
    account_active: bool
    at: int


EndCause = Literal[
    "logout", "revoked", "credential-changed", "provider-logout", "idle", "reissued", "replaced"
]


def renew(command: Renew, state: Session) -> list[Happening]:
    """Rotates, or ends the family when the token was used before or the family is exhausted.

    Raises InvalidCredentials when the session is over or the token has expired.
    """
    if state.account_id is None or state.tokens is None or not state.live:
        raise InvalidCredentials("The session has ended.")
    if not command.account_active or command.account_epoch != state.epoch:
        raise InvalidCredentials("The account ended its sessions.")
    if command.rotation != state.rotations:
        return [
            TokenReuseDetected(account_id=state.account_id),
            SessionEnded(account_id=state.account_id, cause="reuse"),
        ]
    if command.at >= state.expires_at:
        raise InvalidCredentials("The refresh token has expired.")
    if state.rotations >= MAX_ROTATIONS:
        return [SessionEnded(account_id=state.account_id, cause="rotations")]
    return [SessionRotated(account_id=state.account_id, tokens=command.successor)]


def end(cause: EndCause, state: Session) -> list[Happening]:
    """Ends a session that lives."""
    if not state.live or state.account_id is None:
        return []
    return [SessionEnded(account_id=state.account_id, cause=cause)]


def raise_to(proof: Proof, state: Session) -> list[Happening]:
    """More was proved within a session that lives."""
    if not state.live or state.account_id is None:
        return []
    amr, acr = raised(state.amr, state.acr, proof)
    return [SessionRaised(account_id=state.account_id, amr=amr, acr=acr)]


def reissue(epoch: int, state: Session) -> list[Happening]:
    """What a browser's session goes on as, in a stream of its own: the same under a new id.

    Whoever vouched for it still does, so that his logout still finds it.
    """
    if not state.live or state.account_id is None or state.idle is None:
        return []
    vouched: list[Happening] = [state.federated] if state.federated is not None else []
    return [
        SessionOpened(
            account_id=state.account_id,
            epoch=epoch,
            origin=state.origin,
            amr=state.amr,
            acr=state.acr,
            auth_time=state.auth_time,
            expires_at=state.expires_at,
            idle=state.idle,
            tokens=None,
            jkt=state.jkt,
        ),
        *vouched,
    ]


def evolve(state: Session, event: Happening) -> Session:
    """The state after an event."""
    replace = msgspec.structs.replace
    match event:
        case LoginSucceeded(account_id=account_id):
            return replace(state, account_id=account_id)
        case SessionOpened():
            return Session(
                account_id=event.account_id,
                live=True,
                epoch=event.epoch,
                origin=event.origin,
                amr=event.amr,
                acr=event.acr,
                auth_time=event.auth_time,
                expires_at=event.expires_at,
                idle=event.idle,
                tokens=event.tokens,
                jkt=event.jkt,
            )
        case SessionRotated(tokens=tokens):
            return replace(state, tokens=tokens, rotations=state.rotations + 1)
        case SessionKept(epoch=epoch):
            return replace(state, epoch=epoch)
        case SessionRaised(amr=amr, acr=acr):
            return replace(state, amr=amr, acr=acr)
        case SessionFederated():
            return replace(state, federated=event)
        case TokenReuseDetected():
            return state
        case SessionEnded():
            return replace(state, live=False)
        case _:
            assert_never(event)
