"""The keyring's table, and leases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatebook.store.keyring_table import KeyTable
from gatebook.store.log import Log
from gatebook.store.opening import keys_path, open_keys
from tests.store.notes import opened
from tests.store.workers import child


@pytest.fixture
def keys(url: str, log: Log) -> Iterator[KeyTable]:
    table = open_keys(url)
    yield table
    table.close()


def test_a_key_is_added_once(keys: KeyTable) -> None:
    """A second key of the same name is refused and the first stays."""
    assert keys.get("a") is None
    assert keys.add("a", b"\x00one", 1)
    assert not keys.add("a", b"two", 2)
    assert keys.get("a") == b"\x00one"


def test_a_key_is_replaced_by_who_knows_it(keys: KeyTable) -> None:
    """`replace` is compare and set."""
    keys.add("a", b"one", 1)

    assert not keys.replace("a", b"other", b"two")
    assert keys.replace("a", b"one", b"two")
    assert not keys.replace("a", b"one", b"three")
    assert not keys.replace("b", b"one", b"two")
    assert keys.get("a") == b"two"


def test_a_removed_key_is_gone(keys: KeyTable) -> None:
    """It cannot be read, removed again, and its name is free."""
    keys.add("a", b"one", 1)

    assert keys.remove("a")
    assert not keys.remove("a")
    assert keys.get("a") is None
    assert keys.add("a", b"two", 2)


def test_names_are_listed_by_prefix(keys: KeyTable) -> None:
    """Names come in code point order; a prefix is plain text."""
    for name in ("subject/b", "subject/A", "purpose%", "é", "purpose_x"):
        keys.add(name, b"k", 1)

    assert keys.names() == ["purpose%", "purpose_x", "subject/A", "subject/b", "é"]
    assert keys.names("subject/") == ["subject/A", "subject/b"]
    assert keys.names("purpose%") == ["purpose%"]


def test_one_of_many_adds_a_key(url: str, keys: KeyTable) -> None:
    """Of several tables that add the same name at once, one does."""
    tables = [open_keys(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda at: tables[at].add("a", b"%d" % at, 1), range(4)))
    for table in tables:
        table.close()

    assert added.count(True) == 1
    assert keys.get("a") == b"%d" % added.index(True)


def test_a_removed_key_is_not_in_the_files(tmp_path: Path) -> None:
    """On SQLite the bytes of a removed key are in none of the keyring's files."""
    url = f"sqlite:///{tmp_path}/gatebook.db"
    opened(url, create=True).close()
    keys = open_keys(url)
    secret = b"\xa5" * 64
    keys.add("a", secret, 1)
    written = Path(keys_path(f"{tmp_path}/gatebook.db"))
    assert secret in written.read_bytes()

    keys.remove("a")
    left = [each for each in tmp_path.glob("gatebook.keys*") if secret in each.read_bytes()]
    keys.close()

    assert left == []


def test_one_process_has_the_lease(url: str, log: Log) -> None:
    """While another process holds it, it cannot be had; when that dies, it can."""
    with child("hold_lease", url, "follower") as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        with log.lease("follower") as lease, log.lease("another") as another:
            assert not lease.held()
            assert another.held()
            process.kill()
            process.wait(20)
            for _ in range(100):
                if lease.try_acquire():
                    break
                log.wait(log.head(), 0.05)
            assert lease.held()
            assert lease.try_acquire()


def test_a_lease_is_given_back(log: Log) -> None:
    """Two objects of one process exclude each other, until one lets go."""
    mine, yours = log.lease("follower"), log.lease("follower")

    assert mine.try_acquire()
    assert not yours.try_acquire()
    mine.release()
    assert not mine.held()
    assert yours.try_acquire()
    yours.release()
