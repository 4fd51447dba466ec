"""Throwaway memory beside the log: what was shown before, and when something was last used."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gatebook.domain.application.core import HOUR
from gatebook.domain.errors import StoreUnavailable
from gatebook.store.house import House, open_house
from gatebook.store.seen import SeenFile, SeenTable
from gatebook.store.settings import Settings
from tests.api.served import Deployment

NOON = 1_800_000_000_000_000
ONE, TWO = UUID(int=1), UUID(int=2)
WRITERS, EACH = 3, 40


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    made = Deployment(tmp_path, url)
    made.create(admin=False)
    return made


@pytest.fixture
def house(deployment: Deployment) -> Iterator[House]:
    opened = open_house(Settings.load(deployment.config, {}))
    try:
        opened.prepare()
        yield opened
    finally:
        opened.close()


def shown_in_file(path: Path) -> int:
    """How many of the same identifiers this process was the first to show."""
    file = SeenFile(path)
    try:
        return sum(file.first(bytes([n]) * 32, NOON, NOON + 1) for n in range(EACH))
    finally:
        file.close()


def shown_in_table(config: Path) -> int:
    """The same, in the table beside the log."""
    house = open_house(Settings.load(config, {}))
    try:
        return sum(SeenTable(house.store).first(bytes([n]) * 32, NOON) for n in range(EACH))
    finally:
        house.close()


def test_one_process_of_many_is_first(tmp_path: Path) -> None:
    """However many show the same proofs at once, each counts for exactly one of them."""
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        firsts = pool.map(shown_in_file, [tmp_path / "seen.db"] * WRITERS, chunksize=1)
        pool.close()
        pool.join()
    assert sum(firsts) == EACH


def test_one_node_of_many_is_first(deployment: Deployment) -> None:
    """The same for assertions, on everything that shares the database."""
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        firsts = pool.map(shown_in_table, [deployment.config] * WRITERS, chunksize=1)
        pool.close()
        pool.join()
    assert sum(firsts) == EACH


def test_what_has_ended_is_forgotten(house: House, tmp_path: Path) -> None:
    """Neither the table nor the file grows for ever."""
    assert house.seen.first(b"a" * 32, NOON)
    house.seen.sweep(NOON)
    assert not house.seen.first(b"a" * 32, NOON)
    house.seen.sweep(NOON + 1)
    assert house.seen.first(b"a" * 32, NOON)
    file = SeenFile(tmp_path / "seen.db")
    try:
        for n in range(1_000):
            assert file.first(n.to_bytes(32, "big"), NOON + n, NOON + n)
    finally:
        file.close()
    connection = sqlite3.connect(tmp_path / "seen.db")
    try:
        (count,) = connection.execute("SELECT count(*) FROM seen").fetchone()
    finally:
        connection.close()
    assert count < 300


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """What cannot be remembered is not accepted; a file that is there again is used again."""
    path = tmp_path / "folder" / "seen.db"
    file = SeenFile(path)
    try:
        assert file.first(b"a" * 32, NOON, NOON + 1)
        for one in path.parent.iterdir():
            one.unlink()
        path.mkdir()
        with pytest.raises(StoreUnavailable):
            file.first(b"b" * 32, NOON, NOON + 1)
        path.rmdir()
        assert file.first(b"b" * 32, NOON, NOON + 1)
    finally:
        file.close()


def test_a_use_is_noted_once_a_minute(house: House) -> None:
    """A use within the minute writes nothing; a later one does, an earlier one never counts."""
    uses = house.activity
    assert uses.last(ONE) is None
    for at in (NOON, NOON + 59_000_000):
        uses.seen(ONE, at)
    assert uses.last(ONE) == NOON
    uses.seen(ONE, NOON + 60_000_000)
    uses.seen(ONE, NOON + 60_000_001, granularity=1)
    uses.seen(TWO, NOON)
    assert uses.lasts([ONE, TWO, UUID(int=3)]) == {ONE: NOON + 60_000_001, TWO: NOON}
    uses.sweep(NOON + 1)
    assert uses.lasts([ONE, TWO]) == {ONE: NOON + 60_000_001}


def test_a_use_is_no_event(house: House) -> None:
    """Nothing of it stands in the log, and a store that is gone fails no request."""
    head = house.store.head()
    house.activity.seen(ONE, NOON)
    assert house.store.head() == head
    house.store.close()
    house.activity.seen(ONE, NOON + HOUR)
