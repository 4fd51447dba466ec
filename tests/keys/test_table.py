"""The keyring's table in a rotation: what is fenced, what waits, what is compared and set."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gatebook.store.keyring_table import KeyTable
from gatebook.store.opening import open_keys
from tests.postgres import Server
from tests.store.notes import opened

FORMER, NEW = b"former..", b"newer..."


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """A store with an empty keyring."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/gatebook.db"
        opened(made, create=True).close()
        yield made
        return
    server: Server = request.getfixturevalue("postgres")
    made = server.url()
    opened(made, create=True).close()
    yield made
    server.drop(made)


@pytest.fixture
def keys(url: str) -> Iterator[KeyTable]:
    table = open_keys(url)
    table.add("master", b"record one", 1)
    yield table
    table.close()


def test_a_key_is_added_only_under_the_record_that_is_believed(keys):
    """A record that was replaced, and a name that is taken, both refuse; nothing changes."""
    assert keys.add("a", b"one", 1, believed=b"record one")
    assert not keys.add("a", b"two", 2, believed=b"record one")
    assert keys.replace("master", b"record one", b"record two")
    assert not keys.add("b", b"one", 3, believed=b"record one")
    assert keys.add("b", b"two", 4, believed=b"record two")
    assert (keys.get("a"), keys.get("b")) == (b"one", b"two")


def test_many_adders_against_one_swap(url, keys):
    """Whoever believes the former record adds before the swap or not at all: never behind it."""
    stop, added = threading.Event(), []

    def adder(number: int) -> None:
        table = open_keys(url)
        count = 0
        while not stop.is_set() and count < 10_000:
            count += 1
            if table.add(f"{number}:{count}", FORMER + b"x", 1, believed=b"record one"):
                added.append(count)
        table.close()

    threads = [threading.Thread(target=adder, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        if len(added) > 20:
            break
        stop.wait(0.05)
    assert keys.replace("master", b"record one", b"record two")
    there = keys.names()
    stop.wait(0.3)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(added) > 20
    assert keys.names() == there


def test_what_is_stale_is_found_in_order(keys):
    """By name, from behind a name on, without the record itself; the counts agree."""
    for name in ("c", "a", "b"):
        keys.add(name, FORMER + name.encode(), 1)
    keys.add("d", NEW + b"d", 1)
    assert keys.stale(NEW, "", 2) == [("a", FORMER + b"a"), ("b", FORMER + b"b")]
    assert keys.stale(NEW, "b", 2) == [("c", FORMER + b"c")]
    assert keys.counts(NEW) == (4, 3)
    assert keys.counts(FORMER) == (4, 1)


def test_an_empty_keyring_counts_nothing(keys):
    """No key, none stale."""
    assert keys.counts(NEW) == (0, 0)
    assert keys.stale(NEW, "", 10) == []


def test_rewrapping_compares_and_sets(keys):
    """A row that changed or went meanwhile is left as it is; the others change."""
    for name in ("a", "b", "c"):
        keys.add(name, FORMER + name.encode(), 1)
    keys.remove("b")
    keys.replace("c", FORMER + b"c", b"another")
    keys.rewrap([(name, FORMER + name.encode(), NEW + name.encode()) for name in "abc"])
    keys.forget_former()
    assert [keys.get(name) for name in "abc"] == [NEW + b"a", None, b"another"]


def test_kinds_are_counted(keys):
    """By what stands before the colon."""
    for name in ("subject:1", "subject:2", "purpose:x:y", "odd"):
        keys.add(name, b"k", 1)
    assert keys.kinds() == {"master": 1, "odd": 1, "purpose": 1, "subject": 2}
