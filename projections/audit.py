"""The index of the log: where the events are that an auditor asks for. No personal data in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event, subject_of, type_of
from gatebook.projections.changes import Change, Fields, Put
from gatebook.projections.ports import Value
from gatebook.projections.projection import Projection
from gatebook.projections.rows import Queries, number
from gatebook.projections.tables import Column, Table

AUDIT: Final = Table(
    "audit",
    (
        Column("position", "integer"),
        Column("recorded_at", "integer"),
        Column("type", "text"),
        Column("category", "text"),
        Column("stream_type", "text"),
        Column("stream_id", "bytes"),
        Column("account_id", "bytes", null=True),
        Column("actor_type", "text"),
        Column("actor_id", "text"),
        Column("request_id", "text"),
    ),
    key=("position",),
    indexes=(
        ("account_id", "position"),
        ("actor_id", "position"),
        ("type", "position"),
        ("category", "position"),
        ("request_id",),
        ("recorded_at",),
    ),
)


@cache
def _fixed(kind: type[Event]) -> tuple[str, str, str]:
    """Type, category and stream: the same for all events of a kind."""
    return type_of(kind), kind.CATEGORY, kind.STREAM


def fold(recorded: Recorded) -> Sequence[Change]:
    """One row an event, whatever the event."""
    event, metadata = recorded.event, recorded.metadata
    subject = subject_of(event, recorded.stream_id)
    type_, category, stream = _fixed(type(event))
    row: Fields = {
        "position": recorded.position,
        "recorded_at": recorded.recorded_at,
        "type": type_,
        "category": category,
        "stream_type": stream,
        "stream_id": recorded.stream_id.bytes,
        "account_id": subject.bytes if subject is not None else None,
        "actor_type": metadata.actor.type,
        "actor_id": metadata.actor.id,
        "request_id": metadata.request_id,
    }
    return (Put(AUDIT, row),)


PROJECTION: Final = Projection(name="audit", version=1, tables=(AUDIT,), fold=fold, by_event=True)


class AuditFilter(msgspec.Struct, frozen=True):
    """What the events must match; None matches all. `since` <= recorded_at < `until`."""

    account_id: UUID | None = None
    actor_type: str | None = None
    actor_id: str | None = None
    type: str | None = None
    category: str | None = None
    stream_id: UUID | None = None
    request_id: str | None = None
    since: int | None = None
    until: int | None = None


class AuditView:
    """Finds events."""

    def __init__(self, source: Queries) -> None:
        self._source = source

    def query(
        self,
        wanted: AuditFilter,
        *,
        after: int | None = None,
        limit: int,
        order: Literal["asc", "desc"] = "asc",
    ) -> list[int]:
        """Positions of at most `limit` events that match, in the order of the log or against it.

        `after` is the last position seen; None begins at that order's end of the log.
        """
        conditions, params = _conditions(wanted)
        if after is not None:
            conditions.append("position > ?" if order == "asc" else "position < ?")
            params.append(after)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        found = self._source.query(
            f"SELECT position FROM audit {where}ORDER BY position {order.upper()} LIMIT ?",  # noqa: S608
            (*params, limit),
        )
        return [number(row[0]) for row in found]


def _conditions(wanted: AuditFilter) -> tuple[list[str], list[Value]]:
    tests: list[tuple[str, Value]] = [
        ("account_id = ?", wanted.account_id.bytes if wanted.account_id is not None else None),
        ("actor_type = ?", wanted.actor_type),
        ("actor_id = ?", wanted.actor_id),
        ("type = ?", wanted.type),
        ("category = ?", wanted.category),
        ("stream_id = ?", wanted.stream_id.bytes if wanted.stream_id is not None else None),
        ("request_id = ?", wanted.request_id),
        ("recorded_at >= ?", wanted.since),
        ("recorded_at < ?", wanted.until),
    ]
    given = [(condition, value) for condition, value in tests if value is not None]
    return [condition for condition, _ in given], [value for _, value in given]
