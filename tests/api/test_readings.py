"""Whoever reads the log stands in it: once at once, and summed up when the hour is over."""

from __future__ import annotations

import concurrent.futures
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from gatebook.domain import readings
from gatebook.domain.application.core import HOUR, By
from gatebook.domain.envelope import account_actor
from gatebook.domain.errors import StoreUnavailable
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Client, Deployment, Served

NEARLY = 20 * 1_000_000
"""Microseconds: with fewer left of the hour a test waits for the next one."""


@contextmanager
def house_of(deployment: Deployment) -> Iterator[House]:
    """The deployment's store, from this process."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        yield house
    finally:
        house.close()


@pytest.fixture
def reader(served: Served) -> tuple[Any, Client]:
    """A fresh auditor, early enough in an hour."""
    for _ in range(25):
        if HOUR - time.time_ns() // 1000 % HOUR > NEARLY:
            break
        time.sleep(1)
    return served.signed_in("auditor")


def recorded(served: Served, account: Any) -> list[Any]:
    """The readings of one account, as the log has them: (kind, about, count)."""
    with house_of(served.deployment) as house:
        found = [one.event for one in house.store.read(0, 1_000_000) if _by(one, account)]
    return [(one.kind, str(one.account_id) if one.account_id else None, one.count) for one in found]


def _by(one: Any, account: Any) -> bool:
    is_reading = isinstance(one.event, readings.AuditRead)
    return is_reading and one.metadata.actor.id == account["id"]


def hour_over(served: Served) -> None:
    """Sums up as the housekeeping does after the hour, without waiting for it."""
    with house_of(served.deployment) as house:
        house.readings.sweep(house.clock.now() + HOUR)


def test_a_hundred_queries_are_one_event_now_and_one_after_the_hour(served, reader):
    """The first reading is recorded before its answer, the others are summed up in one event."""
    account, client = reader
    for _ in range(100):
        assert client.get("/v1/audit?limit=1").status == 200
    assert recorded(served, account) == [("query", None, 1)]

    hour_over(served)
    hour_over(served)

    assert recorded(served, account) == [("query", None, 1), ("query", None, 99)]
    assert client.get("/v1/audit?limit=1").status == 200
    assert len(recorded(served, account)) == 2


def test_each_question_and_each_account_asked_about_is_recorded(served, reader):
    """Query, event, feed, history of another and entries: each is in the log with its kind."""
    account, client = reader
    other = served.account()
    created = served.events(f"&account={other['id']}")[0]["position"]

    assert client.get("/v1/audit").status == 200
    assert client.get(f"/v1/audit?account={other['id']}").status == 200
    assert client.get(f"/v1/audit/events/{created}").status == 200
    assert client.get("/v1/audit/feed?after=0&limit=1").status == 200
    assert client.get(f"/v1/accounts/{other['id']}/history").status == 200
    assert client.get(f"/v1/accounts/{account['id']}/history").status == 200
    assert client.get("/v1/audit?type=no.such").status == 400

    about = other["id"]
    assert recorded(served, account) == [
        ("query", None, 1),
        ("query", about, 1),
        ("event", about, 1),
        ("feed", None, 1),
        ("history", about, 1),
    ]
    mine = served.client.with_token(served.token(other["username"])).get(
        f"/v1/accounts/{about}/history"
    )
    assert mine.status == 200
    assert recorded(served, other) == []
    assert any("read about the account" in entry["text"] for entry in mine.body["items"])


def test_a_follower_of_the_feed_does_not_feed_itself(served, reader):
    """Whoever reads the record of his own reading appends nothing more by that."""
    account, client = reader
    client.get("/v1/audit/feed?after=0&limit=1")
    with house_of(served.deployment) as house:
        before = house.store.head()
    after = before - 1
    for _ in range(200):
        page = client.get(f"/v1/audit/feed?after={after}&limit=500").body
        after = int(page["next"])
    assert recorded(served, account) == [("feed", None, 1)]
    with house_of(served.deployment) as house:
        assert house.store.head() - before <= 3  # the admin's token, at most


def test_two_workers_record_a_first_reading_once(served, reader):
    """Many that read for the first time at the same moment are one event."""
    account, client = reader
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: client.get("/v1/audit?limit=1").status, range(60)))
    assert set(answers) == {200}
    assert recorded(served, account) == [("query", None, 1)]
    hour_over(served)
    assert sum(count for _, _, count in recorded(served, account)) == 60


def test_what_one_reader_asks_about_many_accounts_is_bounded(deployment):
    """Of 300 accounts some two hundred are named in the hour; all readings are counted."""
    deployment.create(admin=False)
    with house_of(deployment) as house:
        at, by = house.clock.now(), _reader(house)
        for _ in range(2):
            for _number in range(300):
                house.readings.note(by, "history", house.ids.ordered(), at)
        stream = readings.stream_id(by.actor, at // HOUR)
        assert house.app.version(stream) == readings.MAX_AN_HOUR + 1
        house.readings.sweep(at + HOUR)
        found = [one.event for one in house.store.read(0, 10_000) if one.stream_id == stream]
        assert len(found) == readings.MAX_AN_HOUR + 2
        assert sum(event.count for event in found) == 600


def test_without_its_file_a_reading_is_recorded_all_the_same(deployment, tmp_path):
    """How often somebody read may be lost, that he read is not; nor is it recorded twice."""
    deployment.create(admin=False)
    with house_of(deployment) as house:
        at, by = house.clock.now(), _reader(house)
        house.readings.note(by, "query", None, at)
        house.readings.close()
        slots = house.settings.path("slots")
        shutil.rmtree(slots)
        house.readings.note(by, "query", None, at)
        (slots / "readings.db").write_bytes(b"nothing that SQLite knows" * 50)
        house.readings.note(by, "query", None, at)
        house.readings.note(by, "feed", None, at)
        stream = readings.stream_id(by.actor, at // HOUR)
        found = [one.event for one in house.store.read(0, 10_000) if one.stream_id == stream]
        assert [event.kind for event in found] == ["query", "feed"]


def test_what_cannot_be_recorded_is_not_shown(deployment, monkeypatch):
    """A first reading that the log cannot take is refused; one that it has goes on."""

    def full(*_given: object, **_how: object) -> None:
        raise OperationalError("the disk is full")

    deployment.create(admin=False)
    with house_of(deployment) as house:
        at, by = house.clock.now(), _reader(house)
        house.readings.note(by, "query", None, at)
        monkeypatch.setattr(house.store, "append", full)
        house.readings.note(by, "query", None, at)
        with pytest.raises(StoreUnavailable):
            house.readings.note(by, "feed", None, at)


def _reader(house: House) -> By:
    return By(actor=account_actor(house.ids.ordered()))
