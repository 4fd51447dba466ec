"""Why somebody may do something, or not; and who gained and lost what."""

from __future__ import annotations

from itertools import islice
from typing import Final
from uuid import UUID

from gatebook.api import decoding, lists, times
from gatebook.api import past_schemas as p
from gatebook.api.call import Call
from gatebook.api.past import asking, grounds, names_of
from gatebook.api.readings import note
from gatebook.api.reply import Reply
from gatebook.api.schemas import AsOf
from gatebook.domain.errors import InvalidValue, NotFound
from gatebook.domain.explanation import Explanation, Way, Why
from gatebook.domain.permissions import CATALOGUE
from gatebook.store.explaining import Explained, explain
from gatebook.store.holdings import Change, changes
from gatebook.store.past import Place

_WHY: Final[dict[Why, str]] = {
    "held": "The role is held and gives the permission.",
    "not-yet-granted": "The role gives the permission, and was never granted.",
    "revoked": "The role was granted and revoked again.",
    "expired": "The role was granted for a time that is over.",
    "permission-not-in-role": "The role is held; it no longer gives the permission.",
    "role-deleted": "The role was granted; it exists no more.",
    "role-defined-anew": "The role of this name was deleted and defined anew since it was granted.",
}


def explained(call: Call[None, p.ExplainQuery]) -> Reply:
    """GET /v1/audit/explain"""
    query, house = call.query, call.house
    if query.permission not in CATALOGUE:
        raise InvalidValue(f"There is no permission {query.permission!r}.", "/permission")
    place = times.place_or_now(house.store, query, call.now)
    house.notice_erasures()
    with asking(call) as past:
        found = explain(past, query.account, query.permission, place)
    outcome = found.explanation
    if outcome.status == "absent":
        raise NotFound("There was no such account then.")
    note(call, "explain", query.account)
    body = p.ExplainedAccess(
        account_id=query.account,
        permission=query.permission,
        at=decoding.instant(place.at),
        position=place.position,
        holds=outcome.holds,
        text=_verdict(outcome),
        status="deleted" if outcome.status == "erased" else outcome.status,
        grounds=grounds(call, [outcome.standing]),
        reasons=[_reason(call, found, way) for way in outcome.ways],
    )
    return Reply(200, body, {lists.POSITION: str(place.position)})


def _verdict(outcome: Explanation) -> str:
    held = [way.role for way in outcome.ways if way.why == "held"]
    if not held:
        return "It is not held: no role that was held gives it."
    roles = ", ".join(held)
    if not outcome.holds:
        return f"It is not held: the account is {outcome.status}, although {roles} would give it."
    return f"It is held, by {roles}."


def _reason(call: Call[None, p.ExplainQuery], found: Explained, way: Way) -> p.Reason:
    return p.Reason(
        role=way.role,
        why=way.why,
        text=_WHY[way.why],
        expires_at=decoding.maybe_instant(way.expires_at),
        needs_two_factors=way.role in found.held_back,
        grounds=grounds(
            call, [way.definition, way.grant, way.ending, *found.led_to.get(way.role, ())]
        ),
    )


def diff(call: Call[None, p.DiffQuery]) -> Reply:
    """GET /v1/audit/diff"""
    query, house = call.query, call.house
    before = times.place(house.store, AsOf(query.from_, query.from_position), call.now)
    if before is None:
        raise InvalidValue("Say from when, as a time or a position.", "/from")
    after = times.place_or_now(house.store, AsOf(query.to, query.to_position), call.now)
    if after.position < before.position:
        raise InvalidValue("This is before the beginning.", "/to")
    note(call, "diff")
    house.notice_erasures()
    cursor = lists.opened(call, "diff", bytes)
    behind = UUID(bytes=cursor[0]) if cursor else None
    with asking(call) as past:
        found = list(islice(changes(past, before, after, behind), query.limit + 1))
    names = names_of(call, [change.after for change in found])
    shown = lists.page(
        call, "diff", found, lambda one: (one.account_id.bytes,), lambda one: _changed(one, names)
    )
    body = p.AccessDiff(_moment(before), _moment(after), shown.items, shown.next)
    return Reply(200, body, {lists.POSITION: str(after.position)})


def _moment(place: Place) -> p.Moment:
    return p.Moment(decoding.instant(place.at), place.position)


def _changed(change: Change, names: dict[int, str | None]) -> p.AccessChange:
    before, after = change.before, change.after
    return p.AccessChange(
        account_id=change.account_id,
        username=None if after.profile_at is None else names[after.profile_at],
        status_before="deleted" if before.status == "erased" else before.status,
        status_after="deleted" if after.status == "erased" else after.status,
        roles=_moved(before.roles, after.roles),
        permissions=_moved(before.permissions, after.permissions),
    )


def _moved(before: frozenset[str], after: frozenset[str]) -> p.Moved:
    return p.Moved(gained=sorted(after - before), lost=sorted(before - after))
