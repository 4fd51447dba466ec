"""The log as auditors read it: query, single event, feed; and an account's own history."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from gatebook.api import lists
from gatebook.api.accounts import existing
from gatebook.api.call import Call
from gatebook.api.decoding import instant, maybe_microseconds
from gatebook.api.events import Event, event_of
from gatebook.api.readings import note
from gatebook.api.reply import Reply
from gatebook.api.schemas import HistoryEntry, Instant, Limit, Page, Paging, Position
from gatebook.api.words import sentence
from gatebook.domain.catalogue import CATEGORIES, TYPES
from gatebook.domain.envelope import Recorded
from gatebook.domain.errors import InvalidValue, NotFound
from gatebook.domain.event import subject_of
from gatebook.projections.audit import AuditFilter, AuditView
from gatebook.store.log import Log

SLICE: Final = 0.5
"""Seconds that a waiting feed sleeps before it looks whether it should end."""

ACTOR_TYPES: Final = frozenset({"account", "anonymous", "local", "system"})

Word = Annotated[str, msgspec.Meta(max_length=200)]


class AuditQuery(Paging, frozen=True, kw_only=True):
    """Which events: `since` <= recorded_at < `until`. See `_actor` for `actor`."""

    account: UUID | None = None
    actor: Word | None = None
    type: Word | None = None
    category: Word | None = None
    request_id: Word | None = None
    since: Instant | None = None
    until: Instant | None = None
    order: Literal["asc", "desc"] = "asc"


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events behind a position, waiting up to `wait` seconds for the first."""

    after: Position = 0
    wait: Annotated[int, msgspec.Meta(ge=0, le=30)] = 0
    limit: Limit = 50


class Feed(msgspec.Struct, frozen=True):
    """Events in the order of the log, none left out. `next` is where to go on."""

    items: list[Event]
    next: str


def browse(call: Call[None, AuditQuery]) -> Reply:
    """GET /v1/audit"""
    query = call.query
    _known(query.type, TYPES, "/type")
    _known(query.category, CATEGORIES, "/category")
    kind, actor_id = _actor(query.actor)
    wanted = AuditFilter(
        account_id=query.account,
        actor_type=kind,
        actor_id=actor_id,
        type=query.type,
        category=query.category,
        request_id=query.request_id,
        since=maybe_microseconds(query.since),
        until=maybe_microseconds(query.until),
    )
    note(call, "query", query.account)
    found, headers = _found(call, f"audit-{query.order}", wanted, query.order)
    shown = lists.page(
        call,
        f"audit-{query.order}",
        found,
        lambda recorded: (recorded.position,),
        lambda recorded: event_of(call.house, recorded),
    )
    return Reply(200, shown, headers)


def _known(given: str | None, known: Collection[str], pointer: str) -> None:
    """A misspelt filter is an error, not an empty answer."""
    if given is not None and given not in known:
        raise InvalidValue(f"There is no {pointer[1:]} {given!r} in the log.", pointer)


def _actor(given: str | None) -> tuple[str | None, str | None]:
    """`account:<id>`, `local:<name>`, a kind of actor alone, or an account's id alone."""
    if given is None:
        return None, None
    kind, colon, actor_id = given.partition(":")
    if colon:
        return kind, actor_id
    return (given, None) if given in ACTOR_TYPES else (None, given)


def history(call: Call[None, Paging]) -> Reply:
    """GET /v1/accounts/{account_id}/history, newest first"""
    existing(call, call.account_id)
    if call.account_id != call.caller.account_id:
        note(call, "history", call.account_id)
    wanted = AuditFilter(account_id=call.account_id)
    found, headers = _found(call, "history", wanted, "desc")
    shown: Page[HistoryEntry] = lists.page(
        call, "history", found, lambda recorded: (recorded.position,), _entry
    )
    return Reply(200, shown, headers)


def _entry(recorded: Recorded) -> HistoryEntry:
    return HistoryEntry(
        position=recorded.position,
        at=instant(recorded.recorded_at),
        type=recorded.event.type,
        text=sentence(recorded),
        actor=str(recorded.metadata.actor),
    )


def _found(
    call: Call[None, AuditQuery] | Call[None, Paging],
    kind: str,
    wanted: AuditFilter,
    order: Literal["asc", "desc"],
) -> tuple[list[Recorded], dict[str, str]]:
    """One more than the limit, if there are so many."""
    after = lists.opened(call, kind, int)
    headers = lists.caught_up(call, "audit")
    call.house.notice_erasures()
    positions = AuditView(call.house.store).query(
        wanted, after=after[0] if after else None, limit=call.query.limit + 1, order=order
    )
    return events_at(call.house.store, positions), headers


def events_at(log: Log, positions: Sequence[int]) -> list[Recorded]:
    """The events at these positions, in their order, in one snapshot."""
    with log.reading() as reader:
        found = [reader.event(position) for position in positions]
    return [recorded for recorded in found if recorded is not None]


def shown(call: Call[None, None]) -> Recorded:
    """The event at the position in the path. Raises NotFound."""
    call.house.notice_erasures()
    recorded = call.house.store.event(call.path["position"])
    if recorded is None:
        raise NotFound("The log does not go so far.")
    note(call, "event", subject_of(recorded.event, recorded.stream_id))
    return recorded


def feed(call: Call[None, FeedQuery]) -> Reply:
    """GET /v1/audit/feed. When too many wait already it answers at once: come back in a second."""
    query, log = call.query, call.house.store
    note(call, "feed")
    headers: dict[str, str] = {}
    if query.wait and log.head() <= query.after:
        if call.site.waiters.acquire(blocking=False):
            try:
                _wait(call, query.after, query.wait)
            finally:
                call.site.waiters.release()
        else:
            headers["Retry-After"] = "1"
    call.house.notice_erasures()
    found = log.read(query.after, query.limit)
    last = found[-1].position if found else query.after
    shown = Feed([event_of(call.house, recorded) for recorded in found], str(last))
    return Reply(200, shown, headers | {lists.POSITION: str(last)})


def _wait(call: Call[None, FeedQuery], after: int, seconds: int) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not call.site.stopping.is_set():
        if call.house.store.wait(after, min(left, SLICE)) > after:
            return
