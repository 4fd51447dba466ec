"""What a session or a token was worth at a place of the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast
from uuid import UUID

import msgspec

from gatebook.domain import session, token
from gatebook.domain.access import Caller
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import subject_of
from gatebook.projections.access_view import LiveSession
from gatebook.projections.rows import number
from gatebook.store.log_reader import AT_ONCE, LogReader
from gatebook.store.past import (
    SIGN_INS,
    Past,
    Place,
    Streams,
    behind_index,
    events_for,
    mfa_required_for,
    sealed,
)

SECOND: Final = 1_000_000
BEFORE: Final = 10 * SECOND
"""A token's id tells when it was made, which is before it is recorded: unless a clock went back."""

AFTER: Final = 120 * SECOND
ROLES_AND_KEYS: Final = Streams(frozenset(), SIGN_INS.of_all)
"""What a session's worth depends on, besides its own stream and its account's."""


class SessionThen(msgspec.Struct, frozen=True):
    """A session: its own events up to the place, the state they leave, and how it lived there."""

    account_id: UUID
    events: list[Recorded]
    state: session.Session
    live: LiveSession | None


class TokenThen(msgspec.Struct, frozen=True):
    """An access token: how it was issued and what ended it, and whom it would have let in."""

    account_id: UUID
    session_id: UUID | None
    kid: str
    expires_at: int
    events: list[Recorded]
    caller: Caller | None


def session_then(past: Past, session_id: UUID, place: Place) -> SessionThen | None:
    """None when there was no such session by then."""
    with past.log.reading() as reader:
        own = reader.streams([session_id], place.position)
        if not own or not isinstance(own[0].event, session.LoginSucceeded | session.SessionOpened):
            return None
        account_id = own[0].event.account_id
        events = events_for(reader, ROLES_AND_KEYS, [account_id, session_id], place.position)
        required = mfa_required_for(reader, place.position)
    with past.folded(events, required) as stood:
        found = [
            one
            for one in stood.access.sessions_of(account_id, place.at)
            if one.session_id == session_id
        ]
    state = session.Session()
    for recorded in own:
        state = session.evolve(state, recorded.event)  # type: ignore[arg-type]  # by its stream
    return SessionThen(account_id, own, state, found[0] if found else None)


def token_then(past: Past, jti: UUID, place: Place) -> TokenThen | None:
    """None when there was no such token by then."""
    with past.log.reading() as reader:
        own = reader.streams([jti], place.position)
        issued = _issued(reader, jti, own, place)
        if issued is None:
            return None
        recorded, tokens = issued
        account_id = cast("UUID", subject_of(recorded.event, recorded.stream_id))
        session_id = recorded.stream_id if isinstance(tokens, session.Tokens) else None
        ids = [account_id, jti, *([session_id] if session_id is not None else [])]
        events = events_for(reader, ROLES_AND_KEYS, ids, place.position)
        required = mfa_required_for(reader, place.position)
    with past.folded(events, required) as stood:
        caller = stood.access.caller("token", jti, place.at)
    shown = [
        one
        for one in events
        if one.stream_id == jti
        or (one.stream_id == recorded.stream_id and one.position >= recorded.position)
    ]
    return TokenThen(account_id, session_id, tokens.kid, tokens.expires_at, shown, caller)


def _issued(
    reader: LogReader, jti: UUID, own: list[Recorded], place: Place
) -> tuple[Recorded, session.Tokens | token.TokenIssued] | None:
    if own and isinstance(own[0].event, token.TokenIssued):
        return own[0], own[0].event
    for recorded in _opened_or_rotated(reader, jti, place.position):
        event = recorded.event
        if isinstance(event, session.SessionOpened | session.SessionRotated):
            tokens = event.tokens
            if tokens is not None and tokens.jti == jti:
                return recorded, tokens
    return None


def _opened_or_rotated(reader: LogReader, jti: UUID, upto: int) -> Iterator[Recorded]:
    """Sessions' events of about when the token was made (UUIDv7: RFC 9562, section 5.7)."""
    made = (jti.int >> 80) * 1_000
    after = made - BEFORE, 0
    while True:
        found = [
            (number(row[0]), number(row[1]))
            for row in reader.query(
                "SELECT recorded_at, position FROM audit "
                "WHERE (recorded_at, position) > (?, ?) AND recorded_at <= ? "
                "AND type || '' IN ('session.opened', 'session.rotated') "
                "AND position <= ? ORDER BY recorded_at, position LIMIT ?",
                (*after, made + AFTER, upto, AT_ONCE),
            )
        ]
        yield from sealed(reader, [position for _at, position in found])
        if len(found) < AT_ONCE:
            break
        after = found[-1]
    yield from behind_index(reader, 0, upto)
