"""Who read the log: the first reading of an hour is an event, the others are counted until it ends.

The counts stand in a throwaway file of the machine. Losing it loses how often, never that: whether
a reading is the hour's first is asked of the log, so it is recorded once by all nodes together.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final, get_args
from uuid import UUID

from gatebook.domain import readings
from gatebook.domain.application.core import HOUR, By, Decision, Gatebook
from gatebook.domain.envelope import Actor
from gatebook.domain.readings import AuditExported, AuditRead
from gatebook.store.throwaway import ThrowawayFile

ATTEMPTS: Final = 100
"""So many of one reader's first readings may race each other: more than there are threads."""

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS readings (hour INTEGER NOT NULL, reader TEXT NOT NULL, "
    "kind TEXT NOT NULL, account BLOB NOT NULL, count INTEGER NOT NULL, "
    "first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, "
    "PRIMARY KEY (hour, reader, kind, account)) WITHOUT ROWID, STRICT"
)
_COUNT: Final = (
    "UPDATE readings SET first_at = CASE count WHEN 0 THEN ? ELSE first_at END, "
    "count = count + 1, last_at = ? WHERE hour = ? AND reader = ? AND kind = ? AND account = ?"
)
_REMEMBER: Final = (
    "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hour, reader, kind, account) "
    "DO UPDATE SET count = count + excluded.count, last_at = excluded.last_at"
)
_KNOWN: Final = "SELECT count(*) FROM readings WHERE hour = ? AND reader = ?"
_OVER: Final = "SELECT * FROM readings WHERE hour < ? ORDER BY hour LIMIT 1"
_FORGET: Final = "DELETE FROM readings WHERE hour = ? AND reader = ? AND kind = ? AND account = ?"

_KINDS: Final = frozenset(get_args(readings.Kind))
_Row = tuple[int, str, str, bytes, int, int, int]

_log = logging.getLogger("gatebook.readings")


class Readings:
    """What is recorded of those who read. Any thread may use it; open it after a fork."""

    def __init__(self, path: Path, app: Gatebook) -> None:
        self._file = ThrowawayFile(path, [_TABLE])
        self._app = app
        self._guard = threading.Lock()
        self._told = 0

    def note(self, by: By, kind: readings.Kind, account_id: UUID | None, at: int) -> None:
        """Records or counts a reading at `at` (microseconds). Answer only once this returned.

        Raises StoreUnavailable when it is the first of its hour and the log cannot be written.
        """
        if not self._counted(by.actor, kind, account_id, at):
            recorded_as, is_first = self._first(by, kind, account_id, at)
            self._remember(by.actor, kind, recorded_as, at, 0 if is_first else 1)

    def export(self, by: By, event: AuditExported) -> AuditExported:
        """Records that an export begins. Raises Conflict beyond the most of an hour."""

        def decide(now: int) -> Decision[AuditExported]:
            stream_id = readings.stream_id(by.actor, now // HOUR)
            loaded = self._app.load(stream_id, readings.Readings(), readings.evolve)
            readings.check_exports(loaded.state)
            return Decision(event, loaded.entries([event]))

        return self._app.run(by, decide, attempts=ATTEMPTS)

    def sweep(self, now: int) -> None:
        """Records what was counted in hours that are over, a reader and question in one.

        A crash after the event and before the row goes records the hour twice, with the same times.
        """
        with self._guard:
            try:
                while self._sweep_one(now):
                    pass
            except (sqlite3.Error, OSError) as error:
                self._broken(error, now)

    def close(self) -> None:
        """Closes the file. Twice is harmless."""
        with self._guard:
            self._file.drop()

    def _counted(self, reader: Actor, kind: str, account_id: UUID | None, at: int) -> bool:
        """Whether it was of a kind known to be recorded in this hour, and is counted now."""
        hour, name = at // HOUR, str(reader)
        with self._guard:
            try:
                connection = self._file.usable()
                key = (at, at, hour, name, kind)
                if connection.execute(_COUNT, (*key, _bytes(account_id))).rowcount:
                    return True
                (known,) = connection.execute(_KNOWN, (hour, name)).fetchone()
                if known < readings.MAX_AN_HOUR:
                    return False
                return connection.execute(_COUNT, (*key, b"")).rowcount > 0
            except (sqlite3.Error, OSError) as error:
                self._broken(error, at)
                return False

    def _first(
        self, by: By, kind: readings.Kind, account_id: UUID | None, at: int
    ) -> tuple[UUID | None, bool]:
        """About whom it counts, and whether it was the first such reading of the hour."""
        stream_id = readings.stream_id(by.actor, at // HOUR)

        def decide(_now: int) -> Decision[tuple[UUID | None, bool]]:
            loaded = self._app.load(stream_id, readings.Readings(), readings.evolve)
            about = loaded.state.about(kind, account_id)
            if (kind, about) in loaded.state.asked:
                return Decision((about, False))
            event = AuditRead(kind=kind, account_id=about, count=1, first_at=at, last_at=at)
            return Decision((about, True), loaded.entries([event]), subject=by.account_id)

        return self._app.run(_reader(by), decide, attempts=ATTEMPTS)

    def _remember(
        self, reader: Actor, kind: str, account_id: UUID | None, at: int, count: int
    ) -> None:
        row = (at // HOUR, str(reader), kind, _bytes(account_id), count, at, at)
        with self._guard:
            try:
                self._file.usable().execute(_REMEMBER, row)
            except (sqlite3.Error, OSError) as error:
                self._broken(error, at)

    def _sweep_one(self, now: int) -> bool:
        connection = self._file.usable()
        if connection.execute(_OVER, (now // HOUR,)).fetchone() is None:
            return False
        # Under the file's lock, so that of two processes one records a row.
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute(_OVER, (now // HOUR,)).fetchone()
            if row is not None:
                if _can_be(row):
                    self._sum_up(row, now)
                connection.execute(_FORGET, row[:4])
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return True

    def _sum_up(self, row: _Row, now: int) -> None:
        hour, name, kind, account, count, first_at, last_at = row
        reader_type, _, reader_id = name.partition(":")
        reader = Actor(reader_type, reader_id)
        account_id = UUID(bytes=account) if account else None
        event = AuditRead(
            kind=kind, account_id=account_id, count=count, first_at=first_at, last_at=last_at
        )
        self._app.record_one(event, readings.stream_id(reader, hour), By(actor=reader), now)

    def _broken(self, error: Exception, at: int) -> None:
        """The next use opens another file. One line an hour: how often is not known any more."""
        self._file.drop()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self._file.remove()
        if at // HOUR != self._told:
            self._told = at // HOUR
            fields = {"file": self._file.path.name, "reason": str(error)}
            _log.error("unusable", extra={"fields": fields})


def _can_be(row: _Row) -> bool:
    """Whether there is something to sum up. Others can have written the file: no row of theirs may
    stop the housekeeping, nor be an event that cannot be shown.
    """
    hour, _name, kind, account, count, first_at, last_at = row
    when = 0 < first_at <= last_at and {first_at // HOUR, last_at // HOUR} == {hour}
    return when and kind in _KINDS and len(account) in (0, 16) and 0 < count < 2**53


def _reader(by: By) -> By:
    """Who reads, from where; what he may was asked as the request came in."""
    return By(actor=by.actor, request_id=by.request_id, source=by.source)


def _bytes(account_id: UUID | None) -> bytes:
    return account_id.bytes if account_id is not None else b""
