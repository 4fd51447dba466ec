"""Appending: order, conflicts, many streams, and what the database itself refuses."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)

from gatebook.store.faults import ConstraintBroken
from gatebook.store.log import Log
from tests.store.notes import METADATA, Noted, note, opened, put


def test_positions_follow_each_other(log: Log) -> None:
    """Saves take the next positions, and the head is the last of them."""
    assert log.head() == 0
    assert put(log, note()) == [1]
    assert put(log, note(), note()) == [2, 3]
    assert log.head() == 3


def test_a_save_of_nothing_writes_nothing(log: Log) -> None:
    """An empty save is answered at once with no positions."""
    assert put(log) == []
    assert log.head() == 0


def test_an_event_is_read_as_it_was_written(log: Log) -> None:
    """What is read back has the position, stream, version, event and envelope of the save."""
    stream = uuid4()
    put(log, note(stream, 1, "å"), note(stream, 2, "b"))

    first, second = log.read(0, 10)

    assert (first.position, first.stream_id, first.version) == (1, stream, 1)
    assert first.event == Noted("å")
    assert first.topic == Noted.TOPIC
    assert first.metadata.request_id == "r-1"
    assert first.recorded_at == second.recorded_at > 0
    assert second.event == Noted("b")


@pytest.mark.parametrize("version", [0, 2, 4])
def test_a_version_that_does_not_follow_is_a_conflict(log: Log, version: int) -> None:
    """Neither an old version nor one that leaves a gap may be appended."""
    stream = uuid4()
    put(log, note(stream, 1), note(stream, 2))

    with pytest.raises(IntegrityError, match="stands at version 2"):
        put(log, note(stream, version))

    assert log.head() == 2


def test_a_new_stream_begins_at_its_beginning(log: Log) -> None:
    """Version 2 of a stream that does not exist is a conflict."""
    with pytest.raises(IntegrityError, match="does not exist yet"):
        put(log, note(version=2))


def test_one_stale_stream_refuses_the_whole_save(log: Log) -> None:
    """A save of two streams, one of them stale, leaves nothing of the other."""
    stale, fresh = uuid4(), uuid4()
    put(log, note(stale))

    with pytest.raises(IntegrityError):
        put(log, note(fresh), note(stale))

    assert log.stream(fresh) == []
    assert put(log, note(fresh)) == [2]


def test_exactly_one_of_many_racing_saves_wins(log: Log) -> None:
    """Of 32 threads that claim the same stream one is told that it won, and it did."""
    stream, together = uuid4(), threading.Barrier(32)

    def claim(number: int) -> str | None:
        together.wait(10)
        try:
            put(log, note(stream, 1, str(number)), note())
        except IntegrityError:
            return None
        return str(number)

    with ThreadPoolExecutor(32) as pool:
        winners = [won for won in pool.map(claim, range(32)) if won is not None]

    assert [Noted(won) for won in winners] == [each.event for each in log.stream(stream)]
    assert len(winners) == 1
    assert log.head() == 2


def test_an_unordered_stream_takes_every_save(log: Log) -> None:
    """Streams named unordered take the next version, whatever the events say."""
    shared, own = uuid4(), uuid4()

    def add(number: int) -> list[int]:
        return put(log, note(shared, 77, str(number)), unordered=frozenset({shared}))

    with ThreadPoolExecutor(8) as pool:
        positions = sorted(each[0] for each in pool.map(add, range(40)))
    put(log, note(own), note(shared, 0), note(shared, 0), unordered=frozenset({shared}))

    assert positions == list(range(1, 41))
    assert [each.version for each in log.stream(shared)] == list(range(1, 43))


def test_a_stock_event_needs_no_event_object(log: Log) -> None:
    """The library's own StoredEvent is stored as it is."""
    stream = uuid4()
    log.append([StoredEvent(stream, 1, "anything.1", b"\x00raw")], metadata=METADATA)

    assert log.raw(0, 5)[0][2:] == (stream.bytes, 1, "anything.1", METADATA, b"\x00raw")


def test_a_stream_is_named_by_a_uuid(log: Log) -> None:
    """A stream named by a string is refused before anything is written."""
    with pytest.raises(ProgrammingError):
        log.append([StoredEvent("a", 1, "t", b"")])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET payload = payload",
        "UPDATE log SET topic = 'x' WHERE position = 1",
        "DELETE FROM log",
        "DELETE FROM log WHERE position = 1",
    ],
)
def test_the_log_cannot_be_changed(log: Log, statement: str) -> None:
    """UPDATE and DELETE are refused by the database, with a reason."""
    put(log, note())

    with pytest.raises(ConstraintBroken, match="append-only"), log.writing() as tx:
        tx.execute(statement)

    assert len(log.read(0, 10)) == 1


def test_the_log_cannot_be_emptied_or_replaced(log: Log) -> None:
    """Each dialect's own way around DELETE and UPDATE is refused too."""
    stream = uuid4()
    put(log, note(stream, 1, "first"))
    columns = "(position, recorded_at, stream_id, version, topic, metadata, payload)"
    values = "SELECT {}, 1, stream_id, 1, 'x', metadata, payload FROM log"
    if log.dialect == "sqlite":
        statements = [
            f"INSERT OR REPLACE INTO log {columns} {values.format(position)}" for position in (1, 2)
        ]
    else:
        statements = [
            "TRUNCATE log",
            f"INSERT INTO log {columns} {values.format(1)} "
            "ON CONFLICT (position) DO UPDATE SET topic = 'x'",
        ]
    for statement in statements:
        refusal = pytest.raises(ConstraintBroken, match=r"append-only|each version once")
        with refusal, log.writing() as tx:
            tx.execute(statement)

    assert [each.event for each in log.read(0, 10)] == [Noted("first")]


@pytest.mark.parametrize("position", [0, 1, 3, 9])
def test_the_database_refuses_a_gap(log: Log, position: int) -> None:
    """A row that is not at head + 1 is refused whoever inserts it."""
    put(log, note())

    with pytest.raises(ConstraintBroken), log.writing() as tx:
        tx.execute(
            f"INSERT INTO log SELECT {position}, 1, stream_id, 2, 'x', metadata, payload FROM log"
        )

    assert log.head() == 1


def test_a_save_that_timed_out_is_never_written(log: Log) -> None:
    """A caller that was told "nothing was written" finds nothing, also later."""
    stream = uuid4()
    with log.writing(exclusive=True), pytest.raises(OperationalError, match="nothing was written"):
        put(log, note(stream), timeout=0.2)

    assert put(log, note()) == [1]
    assert log.stream(stream) == []


def test_a_closed_store_refuses(log: Log) -> None:
    """Closing writes what is waiting; after it nothing can be appended or read."""
    put(log, note())
    log.close()
    log.close()

    with pytest.raises(InterfaceError):
        put(log, note())
    with pytest.raises(InterfaceError):
        log.head()


def test_a_store_opens_again(url: str, log: Log) -> None:
    """What one object wrote the next one finds, and continues."""
    stream = uuid4()
    put(log, note(stream))
    log.close()

    with opened(url) as again:
        assert again.head() == 1
        assert put(again, note(stream, 2)) == [2]


def test_two_stores_on_one_log_agree(url: str, log: Log) -> None:
    """Two open stores take turns, and each sees what the other wrote."""
    stream = uuid4()
    with opened(url) as other:
        for version in range(1, 21):
            assert put(log if version % 2 else other, note(stream, version)) == [version]
            assert other.head() == log.head() == version
        with pytest.raises(IntegrityError):
            put(other, note(stream, 20))
