"""Opening: what is refused, what is created, and how a schema moves on."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError, ProgrammingError

from gatebook.projections.ports import Dialect
from gatebook.store import log_schema
from gatebook.store.faults import SchemaMismatch, StoreForeign, StoreMissing, StoreRefused
from gatebook.store.log import Log
from gatebook.store.opening import open_keys
from gatebook.store.postgres_connection import Address
from tests.store.conftest import OpenStore
from tests.store.notes import note, opened, put


def test_a_missing_store_is_not_created_silently(url: str) -> None:
    """Opening what is not there is refused, leaves nothing behind, and says what to do."""
    with pytest.raises(StoreMissing, match="gatebook init"):
        opened(url)
    with pytest.raises(StoreMissing):
        opened(url)
    with pytest.raises(StoreMissing):
        open_keys(url)


def test_creating_twice_keeps_what_is_there(open_store: OpenStore) -> None:
    """`create=True` on a store that exists opens it."""
    put(open_store(create=True), note())

    assert open_store(create=True).head() == 1


def test_creating_at_the_same_time_makes_one_store(url: str, open_store: OpenStore) -> None:
    """Four that create at once end up with one and the same store."""
    with ThreadPoolExecutor(4) as pool:
        logs = list(pool.map(lambda _: open_store(create=True), range(4)))

    assert [put(log, note()) for log in logs] == [[1], [2], [3], [4]]


@pytest.mark.parametrize(("stored", "advice"), [(0, "store migrate"), (99, "newer program")])
def test_another_schema_version_is_refused(url: str, log: Log, stored: int, advice: str) -> None:
    """An older and a newer store are refused with both numbers and what to do."""
    with log.writing() as tx:
        tx.execute("UPDATE schema SET version = ?", (stored,))

    with pytest.raises(SchemaMismatch, match=f"version {stored} .* needs 1: .*{advice}"):
        opened(url)

    with log.writing() as tx:
        tx.execute("UPDATE schema SET version = 1")


def test_a_migrated_store_takes_nothing_from_the_old_program(log: Log) -> None:
    """A program that is running when the schema moves on can append no more."""
    put(log, note())
    with log.writing() as tx:
        tx.execute("UPDATE schema SET version = 2")

    with pytest.raises(OperationalError, match="newer program"):
        put(log, note())

    with log.writing() as tx:
        tx.execute("UPDATE schema SET version = 1")
    assert put(log, note()) == [2]


def test_no_message_quotes_a_password() -> None:
    """An address that cannot be read is refused without the secret in it."""
    for url in ("mysql://me:hunter2@h/d", "postgresql://me:hunter2%zz@h/d"):
        with pytest.raises(StoreRefused) as refused:
            opened(url)
        assert "hunter2" not in str(refused.value)


def test_a_migration_goes_step_by_step(log: Log) -> None:
    """Each step moves the version in its own transaction, and one that failed is done again."""
    broken = {1: both("CREATE TABLE a (b INTEGER)"), 2: both("CREATE TABLE c (d INTEGER)", "wrong")}
    repaired = {2: both("CREATE TABLE c (d INTEGER)")}

    with log.writing() as tx:
        assert log_schema.migrate_one(tx, broken, 3)
    with pytest.raises(ProgrammingError), log.writing() as tx:
        log_schema.migrate_one(tx, broken, 3)
    with log.writing() as tx:
        assert log_schema.stored_version(tx) == 2
        assert log_schema.migrate_one(tx, repaired, 3)
        assert not log_schema.migrate_one(tx, repaired, 3)
        with pytest.raises(SchemaMismatch):
            log_schema.migrate_one(tx, repaired, 4)
        tx.execute("UPDATE schema SET version = 1")

    assert log.query("SELECT * FROM a, c") == []


def both(*statements: str) -> Mapping[Dialect, Sequence[str]]:
    return {"sqlite": statements, "postgresql": statements}


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """Neither a text file nor somebody else's database is taken for a store, or changed."""
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("not a database at all, and long enough to be told apart" * 20)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = [text.read_bytes(), other.read_bytes()]

    for path in (text, other):
        for create in (False, True):
            with pytest.raises(StoreForeign):
                opened(f"sqlite:///{path}", create=create)

    assert before == [text.read_bytes(), other.read_bytes()]


def test_an_unfinished_file_is_taken_up(tmp_path: Path) -> None:
    """An empty file, which a crash while creating leaves, is missing; creating finishes it."""
    path = tmp_path / "gatebook.db"
    path.touch()

    with pytest.raises(StoreMissing, match="never finished"):
        opened(f"sqlite:///{path}")
    with opened(f"sqlite:///{path}", create=True) as log:
        assert put(log, note()) == [1]


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """The database, its side files, the keyring and the locks are not readable by others."""
    before = os.umask(0)
    try:
        with opened(f"sqlite:///{tmp_path}/gatebook.db", create=True) as log:
            put(log, note())
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert {"gatebook.db", "gatebook.db-wal", "gatebook.keys.db"} <= modes.keys()
    assert {0o600} == set(modes.values())


@pytest.mark.parametrize(
    "url",
    ["sqlite:///relative.db", "mysql://x", "postgresql:///d?schema=a;b", "postgresql:///d?nope=1"],
)
def test_an_address_that_means_nothing_is_refused(url: str) -> None:
    """A wrong scheme, a relative path, a schema name or an option libpq lacks: all refused."""
    with pytest.raises(StoreRefused):
        opened(url)


def test_the_schema_is_taken_out_of_the_address() -> None:
    """`schema` is ours; everything else stays for libpq."""
    address = Address.parse("postgresql://u:p@h/d?schema=gate&host=/s&sslmode=require")

    assert address == Address("postgresql://u:p@h/d?host=/s&sslmode=require", "gate")
    assert Address.parse("postgresql:///d").schema == "gatebook"


def test_a_forked_child_is_refused(log: Log) -> None:
    """A store that was opened before a fork refuses to work in the child, and says why."""
    put(log, note())
    answers = multiprocessing.get_context("fork").SimpleQueue()

    def use() -> None:
        for attempt in (log.head, lambda: put(log, note()), lambda: log.wait(0, 1)):
            try:
                attempt()
                answers.put("worked")
            except ProgrammingError as error:
                answers.put(str(error))
        log.close()

    process = multiprocessing.get_context("fork").Process(target=use)
    process.start()
    process.join(20)

    assert all("open it after the fork" in answers.get() for _ in range(3))
    assert put(log, note()) == [2]
