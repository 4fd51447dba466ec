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
from gatebook.store.log_reader import LogReader
from gatebook.store.past import (
    SIGN_INS,
    Past,
    PastAccess,
    Place,
    behind_index,
    mfa_required_for,
    positions,
    sealed,
    types_of,
)

SECOND: Final = 1_000_000
BEFORE: Final = 10 * SECOND
"""A token's id tells when it was made, which is before it is recorded: unless a clock went back."""

AFTER: Final = 120 * SECOND
AT_ONCE: Final = 500


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
        events = _around(reader, [account_id, session_id], place)
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
        events = _around(reader, ids, place)
        required = mfa_required_for(reader, place.position)
        of_session = reader.streams([session_id], place.position) if session_id else []
    with past.folded(events, required) as stood:
        caller = _caller(stood, jti, place)
    shown = {one.position: one for one in (recorded, *own)}
    shown |= {one.position: one for one in of_session if one.position > recorded.position}
    return TokenThen(
        account_id, session_id, tokens.kid, tokens.expires_at, sorted_by_position(shown), caller
    )


def sorted_by_position(found: dict[int, Recorded]) -> list[Recorded]:
    """In the order of the log."""
    return [found[position] for position in sorted(found)]


def _caller(stood: PastAccess, jti: UUID, place: Place) -> Caller | None:
    return stood.access.caller("token", jti, place.at)


def _around(reader: LogReader, ids: list[UUID], place: Place) -> list[Recorded]:
    """The events of some streams, and those of all roles and signing keys."""
    config = positions(reader, types_of(SIGN_INS.of_all), 0, place.position)
    both = (*reader.streams(ids, place.position), *sealed(reader, config))
    return sorted(both, key=lambda recorded: recorded.position)


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
