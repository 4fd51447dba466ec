"""Reading: pages, streams, snapshots, streamed rows, and events that cannot be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from eventsourcing.persistence import OperationalError, ProgrammingError, StoredEvent

from gatebook.domain.event import UnreadableEvent
from gatebook.store.log import Log
from tests.store.notes import METADATA, note, put


def test_pages_follow_a_position(log: Log) -> None:
    """`read` gives what is after a position, up to a limit and up to a position."""
    put(log, *[note() for _ in range(10)])

    assert [each.position for each in log.read(2, 3)] == [3, 4, 5]
    assert [each.position for each in log.read(2, 5, upto=4)] == [3, 4]
    assert log.read(10, 5) == []
    assert [row[0] for row in log.raw(9, 5)] == [10]


def test_one_event_by_its_position(log: Log) -> None:
    """`event` gives the event at a position, or None past the head."""
    stream = uuid4()
    put(log, note(), note(stream))

    found = log.event(2)

    assert found is not None
    assert (2, stream) == (found.position, found.stream_id)
    assert log.event(3) is None


def test_a_stream_by_version_and_position(log: Log) -> None:
    """`stream` is bounded below by version and above by position; `last` takes the newest."""
    stream = uuid4()
    for version in range(1, 6):
        put(log, note(), note(stream, version))

    assert [each.version for each in log.stream(stream)] == [1, 2, 3, 4, 5]
    assert [each.version for each in log.stream(stream, after_version=2)] == [3, 4, 5]
    assert [each.version for each in log.stream(stream, upto_position=5)] == [1, 2]
    assert [each.version for each in log.last(stream, 2)] == [4, 5]
    assert log.last(uuid4(), 2) == []


def test_everything_before_an_unreadable_event_is_read(log: Log) -> None:
    """`read` returns what precedes an event it cannot decode, then stops there and names it."""
    stream = uuid4()
    put(log, note(), note())
    log.append([StoredEvent(stream, 1, "unknown.1", b"")], metadata=METADATA)
    put(log, note(stream, 2))

    assert [each.position for each in log.read(0, 10)] == [1, 2]
    with pytest.raises(UnreadableEvent) as refused:
        log.read(2, 10)
    assert refused.value.position == 3
    for read_whole in (log.stream, lambda each: log.last(each, 5)):
        with pytest.raises(UnreadableEvent):
            read_whole(stream)


def test_a_snapshot_does_not_move(log: Log) -> None:
    """Inside `reading()` the head and the rows stay as they were at its beginning."""
    put(log, note())
    with log.reading() as reader:
        put(log, note())
        assert reader.head() == 1
        assert [each.position for each in reader.read(0, 10)] == [1]
    assert log.head() == 2


def test_reading_cannot_write(log: Log) -> None:
    """A statement that writes is refused outside of a write transaction."""
    with pytest.raises(OperationalError):
        log.query("CREATE TABLE t (a INTEGER)")


def test_rows_are_streamed_side_by_side(log: Log) -> None:
    """Two streamed answers of one snapshot may be read in turns, and given up half-way."""
    put(log, *[note() for _ in range(5000)])
    with log.reading() as reader:
        up = reader.rows("SELECT position FROM log ORDER BY position")
        down = reader.rows(
            "SELECT position FROM log WHERE position > ? ORDER BY position DESC", (2,)
        )
        pairs = [(a[0], b[0]) for a, b in zip(up, down, strict=False)]
        assert pairs[0] == (1, 5000)
        assert len(pairs) == 4998
        assert next(iter(reader.rows("SELECT position FROM log ORDER BY position"))) == (1,)
    assert sum(1 for _ in log.rows("SELECT position FROM log")) == 5000


def test_values_are_of_four_kinds(log: Log) -> None:
    """Statements give bytes, int, str and None back, whatever the driver has for them."""
    with log.writing() as tx:
        kind = "BLOB" if log.dialect == "sqlite" else "BYTEA"
        tx.execute(f"CREATE TABLE kinds (a {kind}, b BIGINT, c TEXT, d TEXT)")
        tx.executemany(
            "INSERT INTO kinds VALUES (?, ?, ?, ?)", [(b"\x00\xff", 2**62, "ü", None)] * 2
        )
        assert tx.execute("UPDATE kinds SET c = c || ?", ("x",)) == 2

    assert log.query("SELECT a, b, c, d FROM kinds") == [(b"\x00\xff", 2**62, "üx", None)] * 2
    assert log.query("SELECT count(*), sum(length(c)), 1 = 1 FROM kinds") == [(2, 4, 1)]
    put(log, note(stream := uuid4()))
    assert log.query("SELECT stream_id FROM log") == [(stream.bytes,)]


def test_a_failed_write_transaction_leaves_nothing(log: Log) -> None:
    """An exception inside `writing()` rolls all of it back, and the next one works."""

    def fail() -> None:
        with log.writing() as tx:
            tx.execute("CREATE TABLE t (a INTEGER)")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(ProgrammingError):
        log.query("SELECT * FROM t")
    with log.writing() as tx:
        tx.execute("CREATE TABLE t (a INTEGER)")

    assert log.query("SELECT * FROM t") == []


def test_an_exclusive_write_stops_the_head(log: Log) -> None:
    """While it lasts no append of anybody commits; afterwards the waiting one does."""
    put(log, note())
    with ThreadPoolExecutor(1) as pool:
        with log.writing(exclusive=True) as tx:
            later = pool.submit(put, log, note())
            assert not later.done()
            assert tx.head() == log.head() == 1
            with pytest.raises(TimeoutError):
                later.result(0.2)
            assert tx.head() == 1
        assert later.result(10) == [2]
