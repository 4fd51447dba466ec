"""A log that a house wrote and signed, copies of it, and what somebody with the database does."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from gatebook.api.local import follow_up
from gatebook.domain import custody
from gatebook.domain.envelope import Entry
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.checkpoints import CheckpointKey
from gatebook.store.house import House, open_house, system
from gatebook.store.settings import Settings
from gatebook.tools import verify
from tests.api.served import Deployment
from tests.postgres import Server

SIZES = (40, 100, 256, 270, 300)
"""Events that the heads are of, beyond the first."""

EVENTS = 305
NEWEST_SIGNED = SIZES[-1]
COLUMNS = ("recorded_at", "stream_id", "version", "topic", "metadata", "payload")


class Copy:
    """The database of a log, in the hands of somebody who may do everything to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.on_sqlite = url.startswith("sqlite:///")

    def run(self, *statements: str | tuple[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Behind the program's back, without its triggers. Returns the last one's rows."""
        with closing(self._connect()) as connection:
            cursor: Any = connection.cursor()
            if self.on_sqlite:
                cursor.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
                for (name,) in cursor.fetchall():
                    cursor.execute(f"DROP TRIGGER {name}")
            else:
                cursor.execute("ALTER TABLE log DISABLE TRIGGER ALL")
            for one in statements:
                sql, params = (one, ()) if isinstance(one, str) else one
                cursor.execute(sql if self.on_sqlite else sql.replace("?", "%s"), params)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def _connect(self) -> Any:
        if self.on_sqlite:
            return sqlite3.connect(self.url.removeprefix("sqlite:///"))
        base, _, schema = self.url.rpartition("schema=")
        return psycopg.connect(base.rstrip("?&"), options=f"-c search_path={schema}")

    def altered(self, column: str, position: int) -> tuple[str, tuple[Any, ...]]:
        """The statement that changes one bit, or one letter, of one value."""
        sql = f"SELECT {column} FROM log WHERE position = ?"
        ((value,),) = self.run((sql, (position,)))
        changed: Any
        if isinstance(value, int):
            changed = value ^ (1 << 20)  # a value that no other event has
        elif isinstance(value, str):
            changed = value[:-1] + ("2" if value[-1] != "2" else "3")
        elif isinstance(value, UUID):
            changed = UUID(int=value.int ^ 1)
        else:
            changed = bytes(value[:-1]) + bytes([value[-1] ^ 1])
        return f"UPDATE log SET {column} = ? WHERE position = ?", (changed, position)


class Original:
    """A signed log that nobody hurts: copies are."""

    def __init__(self, deployment: Deployment, url: str, clone: Callable[[str], str]) -> None:
        self.deployment = deployment
        self.url = url
        self._clone = clone
        with self.house() as house:
            self.key: CheckpointKey = checkpoint_key(house.keyring)
        self.vkey = verify.Key.parse(str(self.key.verifier))
        self.notes = [row[0] for row in Copy(url).run("SELECT note FROM tree_heads ORDER BY size")]

    @contextmanager
    def house(self) -> Iterator[House]:
        with opened(self.deployment) as house:
            yield house

    def copy(self) -> Copy:
        """Log and tree as they are now."""
        return Copy(self._clone(self.url))

    def verify(self, copy: Copy, *files: str) -> verify.Report:
        """With notes that were kept elsewhere, each of `files` being a whole file."""
        kept = [(f"kept {n}", text.splitlines(keepends=True)) for n, text in enumerate(files, 1)]
        return verify.verify(copy.url, [self.vkey], kept)


@contextmanager
def opened(deployment: Deployment) -> Iterator[House]:
    house = open_house(Settings.load(deployment.config, {}))
    try:
        house.prepare()
        yield house
    finally:
        house.close()


def fill(house: House, upto: int) -> None:
    """Appends real events until the log has so many."""
    stream_id = custody.STREAM_ID
    for at in range(house.store.head(), upto):
        event = custody.StoreBackedUp(head=at, size=at, root=bytes(32), has_keyring=False)
        entry = Entry(stream_id, 0, event)
        house.app.record([entry], system(), house.clock.now(), unordered=frozenset({stream_id}))


def write_original(deployment: Deployment) -> None:
    """A first admin, then events, signed at `SIZES`; the newest five are not."""
    deployment.create()
    with opened(deployment) as house:
        for size in SIZES:
            fill(house, size)
            follow_up(house)
        fill(house, EVENTS)


def clone_file(url: str, directory: Path) -> str:
    """A SQLite log as a second file."""
    source = url.removeprefix("sqlite:///")
    target = directory / f"copy-{len(list(directory.iterdir()))}.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(source, target)
    return f"sqlite:///{target}"


def clone_schema(server: Server, url: str) -> str:
    """A PostgreSQL log in a second schema."""
    target = server.url()
    old, new = (one.rpartition("schema=")[2] for one in (url, target))
    with server.connect() as connection:
        connection.execute(f"CREATE SCHEMA {new}".encode())
        for table in ("log", "schema", "tree_tiles", "tree_heads", "tree_state"):
            create = f"CREATE TABLE {new}.{table} (LIKE {old}.{table} INCLUDING ALL)"
            connection.execute(create.encode())
            connection.execute(f"INSERT INTO {new}.{table} SELECT * FROM {old}.{table}".encode())
    return target
