"""A session: one sign-in, from proof to end, with the refresh tokens descended from it."""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.event import Event

MAX_ROTATIONS = 5_000
"""Where a family ends whatever happens: a thirty-day family at fifteen minutes needs 2,880."""

# --- events


class _SessionEvent(Event, frozen=True):
    STREAM = "session"
    account_id: UUID


class LoginSucceeded(_SessionEvent, frozen=True):
    """Somebody proved to be the account. `amr`: the methods (RFC 8176)."""

    TOPIC = "login.succeeded.1"
    amr: tuple[str, ...]
    failures_before: int
    policy: int


class Tokens(msgspec.Struct, frozen=True, array_like=True):
    """One pair: the access token's id, key and end, and the refresh token's end (microseconds).

    Neither token is kept: the refresh token is derived from the session and its rotation.
    """

    jti: UUID
    kid: str
    access_expires_at: int
    refresh_expires_at: int


class SessionOpened(_SessionEvent, frozen=True):
    """The session lives under the account's `epoch` until `expires_at` (None: by its tokens)."""

    TOPIC = "session.opened.1"
    epoch: int
    amr: tuple[str, ...]
    auth_time: int
    expires_at: int | None
    tokens: Tokens


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
    """The session is over. `cause`: "logout", "revoked", "reuse" or "rotations"."""

    TOPIC = "session.ended.1"
    cause: str


Happening = (
    LoginSucceeded
    | SessionOpened
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
    amr: tuple[str, ...] = ()
    auth_time: int = 0
    rotations: int = 0
    tokens: Tokens | None = None


# --- decisions


def begin(
    account_id: UUID,
    *,
    epoch: int,
    amr: tuple[str, ...],
    at: int,
    failures_before: int,
    policy: int,
    tokens: Tokens,
) -> list[Happening]:
    """Somebody proved to be the account at an instant: the proof, and the session it opens."""
    return [
        LoginSucceeded(
            account_id=account_id, amr=amr, failures_before=failures_before, policy=policy
        ),
        SessionOpened(
            account_id=account_id,
            epoch=epoch,
            amr=amr,
            auth_time=at,
            expires_at=None,
            tokens=tokens,
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


EndCause = Literal["logout", "revoked"]


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
    if command.at >= state.tokens.refresh_expires_at:
        raise InvalidCredentials("The refresh token has expired.")
    if state.rotations >= MAX_ROTATIONS:
        return [SessionEnded(account_id=state.account_id, cause="rotations")]
    return [SessionRotated(account_id=state.account_id, tokens=command.successor)]


def end(cause: EndCause, state: Session) -> list[Happening]:
    """Ends a session that lives."""
    if not state.live or state.account_id is None:
        return []
    return [SessionEnded(account_id=state.account_id, cause=cause)]


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
                amr=event.amr,
                auth_time=event.auth_time,
                tokens=event.tokens,
            )
        case SessionRotated(tokens=tokens):
            return replace(state, tokens=tokens, rotations=state.rotations + 1)
        case SessionKept(epoch=epoch):
            return replace(state, epoch=epoch)
        case TokenReuseDetected():
            return state
        case SessionEnded():
            return replace(state, live=False)
        case _:
            assert_never(event)
