"""The version of a store's schema: what it is, the steps to this program's, and saying it anew.

Here alone a store of another version is opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec

from gatebook.domain import custody
from gatebook.domain.application.core import By
from gatebook.domain.envelope import Entry, Metadata
from gatebook.store import log_schema, postgres_schema, sqlite
from gatebook.store.faults import StoreRefused
from gatebook.store.log_reader import LARGEST, LogTransaction
from gatebook.store.log_schema import Steps
from gatebook.store.mapper import EventMapper
from gatebook.store.new_store import insert, unread
from gatebook.store.opening import POSTGRESQL, check_log_exists, sqlite_path
from gatebook.store.postgres import PostgresSession
from gatebook.store.postgres_connection import Address
from gatebook.store.session import Session

Tell = Callable[[int, int, float], None]
"""Told (from version, to version, seconds) after each step."""


class Standing(msgspec.Struct, frozen=True):
    """The schema version of a store, and the one that a program needs."""

    stored: int
    program: int

    @property
    def pending(self) -> int:
        """How many steps are to be done; none for a store of a newer program."""
        return max(0, self.program - self.stored)


def standing(url: str, target: int = log_schema.VERSION) -> Standing:
    """Raises `StoreMissing` or `StoreForeign` when there is no store of ours."""
    check_log_exists(url)
    if url.startswith(POSTGRESQL):
        return Standing(postgres_schema.stored_version(Address.parse(url), unread), target)
    return Standing(sqlite.stored_version(sqlite_path(url), unread), target)


def migrate(
    url: str,
    tell: Tell,
    *,
    steps: Steps = log_schema.MIGRATIONS,
    target: int = log_schema.VERSION,
) -> Standing:
    """Brings a store to this program's version, a step a transaction. Returns where it stood.

    Killed, it goes on where it was when it is run again. Appends wait while a step runs.
    Raises `SchemaMismatch` for a store of a newer program, and what the store raises.
    """
    before = standing(url, target)
    with opened(url) as session:
        while True:
            began = time.monotonic()
            with transaction(session) as tx:
                # A crash before the commit leaves neither the step nor the number.
                stored = log_schema.stored_version(tx)
                moved = log_schema.migrate_one(tx, steps, target)
            if not moved:
                return before
            tell(stored, stored + 1, time.monotonic() - began)


def force(url: str, version: int, mapper: EventMapper, by: By, now: int) -> Standing:
    """Says that the schema has this version, and records that in the same transaction.

    Nothing but the number changes. Read models are level again at the next start. Raises
    `StoreRefused` when the log cannot take the record: then it is no log that any version knows.
    """
    if version < 1:
        raise StoreRefused(f"there is no schema version {version}")
    before = standing(url)
    with opened(url) as session, transaction(session) as tx:
        event = custody.SchemaForced(former=log_schema.stored_version(tx), version=version)
        last = tx.raw_stream(custody.STREAM_ID, 0, LARGEST, newest_first=True, limit=1)
        number = last[0][3] + 1 if last else 1
        stored = mapper.to_stored_event(Entry(custody.STREAM_ID, number, event))
        metadata = mapper.encode_metadata(Metadata(actor=by.actor, at=now))
        stream = custody.STREAM_ID.bytes
        row = (tx.head() + 1, now, stream, number, stored.topic, metadata, stored.state)
        insert(tx, [row])
        tx.execute("UPDATE schema SET version = ?", (version,))
    return before


@contextmanager
def opened(url: str) -> Iterator[Session]:
    """A write connection to a store of whatever version."""
    made: Session
    if url.startswith(POSTGRESQL):
        made = PostgresSession(Address.parse(url), unread)
    else:
        made = sqlite.SqliteSession(sqlite_path(url), unread)
    with closing(made) as session:
        yield session


@contextmanager
def transaction(session: Session) -> Iterator[LogTransaction]:
    """One that holds the append lock; it commits at the end of the block."""
    session.begin(exclusive=True)
    try:
        yield session.transaction
    except BaseException:
        session.rollback()
        raise
    session.commit()
