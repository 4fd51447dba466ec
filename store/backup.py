"""Backing up a store, putting a backup in the place of a lost one, and moving a store.

A backup is one SQLite file, whichever store it comes from: the log's rows as stored, and the signed
heads. The keyring is a file of its own, with a life of its own: an old copy of the log does not
bring an erased person back, an old copy of the keyring does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

import msgspec

from gatebook.domain import custody
from gatebook.domain.application.core import By
from gatebook.domain.envelope import Entry, Metadata
from gatebook.store import log_schema, sqlite
from gatebook.store.copying import Copied, Tell, copy_grown, copy_rows
from gatebook.store.faults import StoreRefused
from gatebook.store.house import House
from gatebook.store.key_rows import KeyRow, file_rows, key_rows, write_file
from gatebook.store.log_reader import LARGEST, LogTransaction, StoredRow
from gatebook.store.mapper import EventMapper
from gatebook.store.new_file import check_free, new_file
from gatebook.store.new_store import insert, log_file, new_store, unread
from gatebook.store.signed_copy import SignedCopy
from gatebook.store.sqlite_connection import SqliteReader


class BackedUp(msgspec.Struct, frozen=True):
    """A backup at `path`. `refuted`: why its events are not those that were signed, if so."""

    path: str
    copied: Copied
    refuted: str | None


def back_up(house: House, by: By, path: str, keyring: str | None, tell: Tell) -> BackedUp:
    """Copies the log, and the keyring if it is given a path, beside whatever goes on.

    What is copied is held against the newest signed head. When that disagrees the copy is kept, as
    evidence and since there is no other, at `<path>.bad`. The keyring second: it then has the key
    of every event that was copied. Each file is whole or not there; a crash between the two, or
    before the record, leaves what it says it is. Raises `StoreRefused` when a file is there
    already, and the store's errors.
    """
    bad = f"{path}.bad"
    for one in (path, bad, keyring):
        if one is not None:
            check_free(one)
    with house.store.reading() as reader:
        signed = SignedCopy(house, reader)
        with (
            new_file(path, lambda: bad if signed.refuted() else path) as part,
            log_file(part) as tx,
        ):
            copied = copy_rows(reader, tx, reader.head(), tell, signed.take)
    if signed.refuted():
        copied = Copied(copied.head)  # no head vouches for what is in it
    if keyring is not None:
        write_file(keyring, key_rows(house.settings.store_url))
    event = custody.StoreBackedUp(
        head=copied.head, size=copied.size, root=copied.root, has_keyring=keyring is not None
    )
    house.app.record_one(event, custody.STREAM_ID, by)
    return BackedUp(bad if signed.refuted() else path, copied, signed.refuted())


def copy_store(house: House, by: By, url: str, tell: Tell) -> Copied:
    """Copies log and keyring into a new store at `url`, of either kind.

    What is appended meanwhile is not in it. Raises `StoreRefused` when there is a store.
    """
    with house.store.reading() as reader:
        head = reader.head()
        with new_store(url, key_rows(house.settings.store_url)) as tx:
            copied = copy_grown(reader, tx, head, tell)
            dialect = tx.dialect
    event = custody.StoreCopied(head=copied.head, dialect=dialect)
    house.app.record_one(event, custody.STREAM_ID, by)
    return copied


def restore(
    path: str,
    url: str,
    *,
    keyring: str | None,
    upto: int | None,
    record: Callable[[int, int, int], StoredRow],
    tell: Tell,
) -> Copied:
    """Makes the store at `url` from a backup, up to a position, with `record` as its next event.

    `record` is given (head of the copy, head of the backup, last version of the custody stream).
    A crash before the end leaves no log: run it again. Raises `StoreRefused`.
    """
    keys: list[KeyRow] | None = None if keyring is None else file_rows(keyring)
    check_backup(path)
    with closing(SqliteReader(path, unread)) as reader:
        reader.begin_snapshot()
        whole = reader.head()
        if upto is not None and not 1 <= upto <= whole:
            raise StoreRefused(f"{path} has the positions 1 to {whole}, and not {upto}")
        with new_store(url, keys) as tx:
            copied = copy_grown(reader, tx, whole if upto is None else upto, tell)
            insert(tx, [record(copied.head, whole, _version(tx))])
        reader.end_snapshot()
    return copied


def check_backup(path: str) -> int:
    """The head of a backup. Raises `StoreRefused` for what is none."""
    if not os.path.exists(path):
        raise StoreRefused(f"there is no backup at {path}")
    log_schema.check(sqlite.stored_version(path, unread))
    with closing(SqliteReader(path, unread)) as reader:
        return reader.head()


def restored_row(mapper: EventMapper, by: By, now: int) -> Callable[[int, int, int], StoredRow]:
    """What says in a restored log that it was restored: see `restore`."""

    def row(head: int, backup_head: int, version: int) -> StoredRow:
        event = custody.StoreRestored(head=head, backup_head=backup_head)
        stored = mapper.to_stored_event(Entry(custody.STREAM_ID, version + 1, event))
        metadata = mapper.encode_metadata(Metadata(actor=by.actor, at=now))
        stream_id = custody.STREAM_ID.bytes
        return head + 1, now, stream_id, version + 1, stored.topic, metadata, stored.state

    return row


def _version(tx: LogTransaction) -> int:
    rows = tx.raw_stream(custody.STREAM_ID, 0, LARGEST, newest_first=True, limit=1)
    return rows[0][3] if rows else 0
