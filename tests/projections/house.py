"""A store with read models, and short ways to put events into it and to look at its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from gatebook.domain import session
from gatebook.domain.envelope import SYSTEM, Actor, Metadata, Recorded
from gatebook.domain.event import Event
from gatebook.projections.engine import ensure
from gatebook.projections.follower import Follower
from gatebook.projections.inline import Inline
from gatebook.projections.ports import InlineFold, Row, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.tables import Table, select_in_key_order
from gatebook.store.batch import EncodedEvent
from gatebook.store.log import Log
from gatebook.store.opening import open_log
from gatebook.store.sqlite_connection import SqliteTransaction
from gatebook.tools.bench import plain_codec

NOON = 1_750_000_000_000_000
MINUTE = 60_000_000
TOKEN_ID = UUID(int=3)


class StoppedClock:
    """Noon, for ever."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return NOON


def recorded(
    event: Event,
    *,
    stream_id: UUID,
    version: int = 1,
    at: int = NOON,
    position: int = 7,
    actor: Actor = SYSTEM,
) -> Recorded:
    """An event as it comes out of the log."""
    metadata = Metadata(actor=actor, at=at, request_id="r-1")
    return Recorded(position, at + 5, stream_id, version, event.TOPIC, event, metadata)


class House:
    """An open store. Streams are continued by whoever appends to them here."""

    def __init__(self, log: Log, projections: Sequence[Projection] = PROJECTIONS) -> None:
        self.log = log
        self.projections = projections
        self._versions: dict[UUID, int] = {}

    def append(
        self, stream_id: UUID, *events: Event, at: int = NOON, actor: Actor = SYSTEM
    ) -> list[int]:
        """Appends events to one stream in one save. Returns their positions."""
        version = self._versions.get(stream_id, 0)
        encoded = [
            EncodedEvent(stream_id, version + n, event.TOPIC, plain_codec.encode(event), event)
            for n, event in enumerate(events, start=1)
        ]
        metadata = Metadata(actor=actor, at=at, request_id="r-1")
        positions = self.log.append(
            encoded, metadata=plain_codec.encode(metadata), envelope=metadata
        )
        self._versions[stream_id] = version + len(events)
        return positions

    def append_unreadable(self, stream_id: UUID) -> int:
        """Adds a row that no program can read, past the writer. Returns its position."""
        with self.log.writing(exclusive=True) as tx:
            position = tx.head() + 1
            stored = stream_id.bytes if tx.dialect == "sqlite" else str(stream_id)
            mark = "?" if tx.dialect == "sqlite" else "CAST(? AS uuid)"
            tx.execute(
                f"INSERT INTO log VALUES (?, ?, {mark}, 1, 'no.such_thing.1', ?, ?)",
                (position, NOON, stored, b"", b""),
            )
        return position

    def follow(self) -> Follower:
        """Lets every following projection take in what is new. Returns the follower."""
        follower = Follower(self.log, self.projections, StoppedClock())
        for _ in range(1_000):
            if follower.round() == 0:
                break
        return follower

    def rows(self, table: Table, suffix: str = "") -> list[Row]:
        """All rows of a table in key order."""
        return self.log.query(select_in_key_order(table, suffix))


def open_house(
    url: str,
    projections: Sequence[Projection] = PROJECTIONS,
    *,
    inline: InlineFold | None = None,
    create: bool = True,
) -> House:
    """Opens a store as the service does. Whoever opens it closes `house.log`."""
    log = open_log(
        url,
        decode=plain_codec.decode,
        now=StoppedClock().now,
        inline=Inline(projections) if inline is None else inline,
        create=create,
    )
    try:
        ensure(log, projections, StoppedClock())
    except BaseException:
        log.close()
        raise
    return House(log, projections)


@contextmanager
def scratch(folder: Path, name: str = "scratch") -> Iterator[Transaction]:
    """An empty database that is gone afterwards."""
    path = folder / f"{name}.db"
    path.touch()
    tx = SqliteTransaction(str(path), plain_codec.decode)
    try:
        tx.query("PRAGMA synchronous=OFF")
        tx.execute("BEGIN")
        yield tx
        tx.execute("ROLLBACK")
    finally:
        tx.close()
        path.unlink(missing_ok=True)


def session_opened(
    account_id: UUID,
    *,
    jti: UUID | None = TOKEN_ID,
    kid: str = "k1",
    epoch: int = 0,
    expires_at: int = NOON + 10**12,
    token_expires_at: int | None = None,
    **more: Any,
) -> session.SessionOpened:
    """A sign-in by password; without a jti it is one in a browser, with an hour's idle timeout."""
    ends_at = expires_at if token_expires_at is None else token_expires_at
    given: dict[str, Any] = {
        "account_id": account_id,
        "epoch": epoch,
        "origin": "login",
        "amr": ("pwd",),
        "acr": "aal1",
        "auth_time": NOON,
        "expires_at": expires_at,
        "idle": None if jti is not None else 60 * MINUTE,
        "tokens": session.Tokens(jti, kid, ends_at) if jti is not None else None,
    }
    return session.SessionOpened(**(given | more))
