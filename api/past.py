"""The past over HTTP: the access table, sessions and tokens as they stood."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec

from gatebook.api import decoding, lists, times
from gatebook.api import past_schemas as p
from gatebook.api.call import Call
from gatebook.api.events import event_of
from gatebook.api.readings import note
from gatebook.api.reply import Reply
from gatebook.api.schemas import AsOf
from gatebook.api.words import sentence
from gatebook.domain.envelope import Recorded
from gatebook.domain.errors import InvalidValue, NotFound, Overloaded
from gatebook.domain.permissions import CATALOGUE
from gatebook.projections.access_view import AccessView
from gatebook.projections.federation import FederationView
from gatebook.projections.holdings import Holding
from gatebook.store.holdings import everybody
from gatebook.store.past import Past, Place, Streams
from gatebook.store.past_sign_ins import session_then, token_then


class Stood(msgspec.Struct, frozen=True):
    """Access at the moment that a query names. `past` is None for the present."""

    access: AccessView
    federations: FederationView
    at: int
    past: Place | None

    @property
    def headers(self) -> dict[str, str]:
        """Where in the log the answer stands, for the past."""
        return {} if self.past is None else {lists.POSITION: str(self.past.position)}


@contextmanager
def asking(call: Call[Any, Any]) -> Iterator[Past]:
    """The past of the log. Raises Overloaded while half of all threads are asking it already."""
    questions = call.site.questions
    if not questions.acquire(blocking=False):
        raise Overloaded("Too many questions about the past at one time. Ask again in a second.")
    try:
        yield Past(call.house.store, call.house.opened)
    finally:
        questions.release()


@contextmanager
def stood(
    call: Call[Any, AsOf] | Call[Any, p.PastPaging],
    streams: Streams,
    accounts: Collection[UUID] = (),
) -> Iterator[Stood]:
    """The views of access, now or as they stood: a handler asks both alike."""
    house = call.house
    place = times.place(house.store, call.query, call.now)
    if place is None:
        yield Stood(house.access, house.federations, call.now, None)
        return
    about = next(iter(accounts), None)
    if about is None or about != call.caller.account_id:
        note(call, "as-of", about)
    house.notice_erasures()
    with asking(call) as past, past.at(place, streams, accounts) as access:
        yield Stood(access.access, access.federations, place.at, place)


def access(call: Call[None, p.AccessQuery]) -> Reply:
    """GET /v1/audit/access"""
    query, house = call.query, call.house
    if query.permission is not None and query.permission not in CATALOGUE:
        raise InvalidValue(f"There is no permission {query.permission!r}.", "/permission")
    place = times.place_or_now(house.store, query, call.now)
    note(call, "as-of")
    house.notice_erasures()
    after = lists.opened(call, "access", int)
    found: list[tuple[int, Holding]] = []
    with asking(call) as past:
        for position, one in everybody(past, place, after[0] if after else 0):
            if _wanted(one, query):
                found.append((position, one))
                if len(found) > query.limit:
                    break
    names = names_of(call, [one for _position, one in found])
    shown = lists.page(
        call, "access", found, lambda each: (each[0],), lambda each: _held(each[1], names)
    )
    body = p.AccessTable(decoding.instant(place.at), place.position, shown.items, shown.next)
    return Reply(200, body, {lists.POSITION: str(place.position)})


def _wanted(one: Holding, query: p.AccessQuery) -> bool:
    by_role = query.role is None or query.role in one.roles
    return by_role and (query.permission is None or query.permission in one.permissions)


def names_of(call: Call[Any, Any], held: Sequence[Holding]) -> dict[int, str | None]:
    """The usernames that some profiles hold, None where they are erased."""
    wanted = {one.profile_at for one in held if one.profile_at is not None}
    profiles = call.house.opened.profiles(wanted)
    return {at: None if one is None else one.username for at, one in profiles.items()}


def _held(one: Holding, names: dict[int, str | None]) -> p.Held:
    return p.Held(
        account_id=one.account_id,
        username=None if one.profile_at is None else names[one.profile_at],
        type=one.kind,
        status="deleted" if one.status == "erased" else one.status,
        roles=sorted(one.roles),
        permissions=sorted(one.permissions),
    )


def session(call: Call[None, AsOf]) -> Reply:
    """GET /v1/audit/sessions/{session_id}"""
    place = times.place_or_now(call.house.store, call.query, call.now)
    call.house.notice_erasures()
    with asking(call) as past:
        found = session_then(past, call.path["session_id"], place)
    if found is None:
        raise NotFound("There was no such session then.")
    note(call, "as-of", found.account_id)
    state = found.state
    body = p.PastSession(
        id=call.path["session_id"],
        account_id=found.account_id,
        at=decoding.instant(place.at),
        position=place.position,
        live=found.live is not None,
        origin=state.origin,
        amr=list(state.amr),
        opened_at=decoding.instant(found.events[0].metadata.at),
        expires_at=decoding.instant(state.expires_at),
        grounds=grounds(call, found.events),
    )
    return Reply(200, body, {lists.POSITION: str(place.position)})


def token(call: Call[None, AsOf]) -> Reply:
    """GET /v1/audit/tokens/{jti}"""
    place = times.place_or_now(call.house.store, call.query, call.now)
    call.house.notice_erasures()
    with asking(call) as past:
        found = token_then(past, call.path["jti"], place)
    if found is None:
        raise NotFound("There was no such token then.")
    note(call, "as-of", found.account_id)
    caller = found.caller
    body = p.PastToken(
        jti=call.path["jti"],
        account_id=found.account_id,
        session_id=found.session_id,
        at=decoding.instant(place.at),
        position=place.position,
        live=caller is not None,
        kid=found.kid,
        expires_at=decoding.instant(found.expires_at),
        roles=caller.roles if caller is not None else [],
        permissions=sorted(caller.permissions) if caller is not None else [],
        grounds=grounds(call, found.events),
    )
    return Reply(200, body, {lists.POSITION: str(place.position)})


def grounds(call: Call[Any, Any], events: Sequence[Recorded | None]) -> list[p.Ground]:
    """Events as evidence, in the order of the log."""
    found = sorted({one.position: one for one in events if one is not None}.items())
    return [p.Ground(sentence(one), event_of(call.house, one)) for _position, one in found]
