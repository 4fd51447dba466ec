"""What people see of sessions: those that live and, until they are pruned, those that ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import session, token
from gatebook.domain.envelope import Recorded
from gatebook.projections.changes import Change, DropWhere, Fields, Patch, Put
from gatebook.projections.projection import Projection
from gatebook.projections.rows import Queries, maybe_number, maybe_text, number, text, uuid
from gatebook.projections.tables import Column, Table

SESSIONS: Final = Table(
    "sessions",
    (
        Column("session_id", "bytes"),
        Column("account_id", "bytes"),
        Column("epoch", "integer"),
        Column("amr", "text"),
        Column("opened_at", "integer"),
        Column("renewed_at", "integer"),
        Column("rotations", "integer"),
        Column("expires_at", "integer"),
        Column("ended_at", "integer", null=True),
        Column("cause", "text", null=True),
    ),
    key=("session_id",),
    indexes=(("account_id", "opened_at", "session_id"),),
)


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes."""
    key = (recorded.stream_id.bytes,)
    at = recorded.metadata.at
    match recorded.event:
        case session.SessionRotated():
            return (Patch(SESSIONS, key, {"renewed_at": at}, {"rotations": 1}),)
        case session.SessionOpened() as event:
            row: Fields = {
                "session_id": key[0],
                "account_id": event.account_id.bytes,
                "epoch": event.epoch,
                "amr": " ".join(event.amr),
                "opened_at": at,
                "renewed_at": at,
                "rotations": 0,
                "expires_at": event.expires_at,
                "ended_at": None,
                "cause": None,
            }
            return (Put(SESSIONS, row),)
        case session.SessionEnded(cause=cause):
            return (Patch(SESSIONS, key, {"ended_at": at, "cause": cause}),)
        case session.SessionRaised(amr=amr):
            return (Patch(SESSIONS, key, {"amr": " ".join(amr)}),)
        case session.SessionKept(epoch=epoch):
            return (Patch(SESSIONS, key, {"epoch": epoch}),)
        case token.TokensPruned(before=before):
            return (
                DropWhere(SESSIONS, "ended_at", "<", before),
                DropWhere(SESSIONS, "expires_at", "<", before),
            )
        case _:
            return ()


PROJECTION: Final = Projection(name="sessions", version=1, tables=(SESSIONS,), fold=fold)


class SeenSession(msgspec.Struct, frozen=True):
    """A session. `live` says whether it counts; `cause` why it ended, when it has an event.

    Sessions that ended with their account's others have no event of their own.
    """

    session_id: UUID
    account_id: UUID
    amr: list[str]
    opened_at: int
    renewed_at: int
    rotations: int
    ended_at: int | None
    cause: str | None
    live: bool


class SessionsView:
    """The list of an account's sessions."""

    def __init__(self, source: Queries) -> None:
        self._source = source

    def page(
        self,
        account_id: UUID,
        *,
        after: tuple[int, UUID] | None = None,
        limit: int,
        at: int,
    ) -> list[SeenSession]:
        """At most `limit` sessions in the order they were opened.

        `after` is the `(opened_at, session_id)` of the last one seen.
        """
        opened_at, session_id = after if after is not None else (-1, UUID(int=0))
        found = self._source.query(
            "SELECT s.session_id, s.account_id, s.amr, s.opened_at, s.renewed_at, s.rotations, "
            "s.ended_at, s.cause, CASE WHEN a.account_id IS NOT NULL AND s.ended_at IS NULL "
            "AND s.expires_at > ? THEN 1 ELSE 0 END FROM sessions s "
            "LEFT JOIN access_accounts a ON a.account_id = s.account_id "
            "AND a.epoch = s.epoch AND a.status = 'active' "
            "WHERE s.account_id = ? AND (s.opened_at, s.session_id) > (?, ?) "
            "ORDER BY s.opened_at, s.session_id LIMIT ?",
            (at, account_id.bytes, opened_at, session_id.bytes, limit),
        )
        return [
            SeenSession(
                session_id=uuid(row[0]),
                account_id=uuid(row[1]),
                amr=text(row[2]).split(),
                opened_at=number(row[3]),
                renewed_at=number(row[4]),
                rotations=number(row[5]),
                ended_at=maybe_number(row[6]),
                cause=maybe_text(row[7]),
                live=bool(row[8]),
            )
            for row in found
        ]
