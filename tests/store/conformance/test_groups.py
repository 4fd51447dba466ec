"""Many saves in one transaction: nobody suffers for his neighbour, and folds see what was added."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import DatabaseError, IntegrityError, StoredEvent

from gatebook.domain.envelope import Recorded
from gatebook.projections.ports import Transaction
from gatebook.store.log import Log
from tests.store.conftest import OpenStore
from tests.store.notes import METADATA, Noted, note, put


class Tally:
    """An inline fold: one row an event. It fails at a note that says so."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def apply(self, tx: Transaction, head_before: int, recorded: Sequence[Recorded]) -> None:
        assert [each.position for each in recorded] == list(
            range(head_before + 1, head_before + 1 + len(recorded))
        )
        for each in recorded:
            assert isinstance(each.event, Noted)
            if each.event.text == "poison":
                raise ValueError("this note cannot be folded")
        self.groups.append(len(recorded))
        tx.executemany(
            "INSERT INTO tally (position, text) VALUES (?, ?)",
            [(each.position, each.event.text) for each in recorded],  # type: ignore[attr-defined]  # asserted above
        )


@pytest.fixture
def fold() -> Tally:
    return Tally()


@pytest.fixture
def folded(open_store: OpenStore, fold: Tally) -> Log:
    log = open_store(create=True, inline=fold)
    with log.writing() as tx:
        tx.execute("CREATE TABLE tally (position BIGINT PRIMARY KEY, text TEXT NOT NULL)")
    return log


def together(log: Log, calls: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    """Runs the calls in threads while the writer is kept busy, so that they form one group."""
    is_busy, go_on = threading.Event(), threading.Event()

    def keep_busy(tx: Transaction) -> None:
        is_busy.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(len(calls) + 1) as pool:
        pool.submit(log.transact, keep_busy)
        assert is_busy.wait(10)
        futures = [pool.submit(call) for call in calls]
        for _ in range(1000):
            if log.waiting() == len(calls):
                break
            threading.Event().wait(0.005)
        go_on.set()
    assert all(future.done() for future in futures)
    return futures


def test_waiting_saves_share_a_transaction(folded: Log, fold: Tally) -> None:
    """Saves that wait together are folded together and answered each with its own positions."""
    futures = together(folded, [lambda: put(folded, note(), note())] * 10)

    positions = sorted(position for future in futures for position in future.result(0))

    assert positions == list(range(1, 21))
    assert fold.groups == [20]


def test_a_conflict_does_not_disturb_its_group(folded: Log, fold: Tally) -> None:
    """In a group of one good and one stale save, and a good one, only the stale one fails."""
    stream = uuid4()
    calls = [
        lambda: put(folded, note(stream)),
        lambda: put(folded, note(stream, 7)),
        lambda: put(folded, note()),
    ]
    futures = together(folded, calls)

    errors = [future.exception(0) for future in futures]

    assert [None, IntegrityError, None] == [error and type(error) for error in errors]
    assert fold.groups == [2]


def test_a_poison_save_harms_nobody(folded: Log) -> None:
    """A save that the inline fold refuses is the only one of its group that is not written."""
    stream = uuid4()
    calls = [
        *[lambda: put(folded, note())] * 5,
        lambda: put(folded, note(stream, 1, "poison")),
        *[lambda: put(folded, note())] * 5,
    ]
    futures = together(folded, calls)

    errors = [future.exception(0) for future in futures]

    assert [at for at, error in enumerate(errors) if error is not None] == [5]
    assert "cannot be folded" in str(errors[5])
    assert folded.stream(stream) == []
    assert folded.query("SELECT count(*) FROM tally") == [(10,)]
    assert folded.head() == 10


def test_a_fold_and_its_events_are_one_write(folded: Log) -> None:
    """When the fold fails alone, neither its rows nor the event are there."""
    with pytest.raises(ValueError, match="cannot be folded"):
        put(folded, note(), note(text="poison"))

    assert folded.head() == 0
    assert folded.query("SELECT count(*) FROM tally") == [(0,)]


def test_a_stock_event_is_decoded_for_the_fold(folded: Log, fold: Tally) -> None:
    """A save without event objects is decoded from its bytes."""
    ready = note(text="raw")
    folded.append(
        [StoredEvent(ready.originator_id, 1, ready.topic, ready.state)], metadata=METADATA
    )

    assert folded.query("SELECT text FROM tally") == [("raw",)]


def test_an_errand_runs_in_the_group_of_the_appends(folded: Log, fold: Tally) -> None:
    """`transact` sees the events of its group, and its writes commit with them."""
    futures = together(
        folded,
        [
            lambda: folded.transact(lambda tx: tx.head()),
            lambda: put(folded, note()),
            lambda: folded.transact(
                lambda tx: tx.execute("INSERT INTO tally (position, text) VALUES (?, ?)", (-1, "e"))
            ),
        ],
    )

    assert [future.result(0) for future in futures] == [1, [1], 1]
    assert folded.query("SELECT text FROM tally WHERE position = -1") == [("e",)]


def test_a_failing_errand_harms_nobody(folded: Log) -> None:
    """An errand that raises is rolled back; the saves of its group are written."""

    def fail(tx: Transaction) -> None:
        tx.execute("INSERT INTO tally (position, text) VALUES (-1, 'e')")
        raise KeyError("mine")

    futures = together(folded, [lambda: put(folded, note()), lambda: folded.transact(fail)])

    assert futures[0].result(0) == [1]
    assert isinstance(futures[1].exception(0), KeyError)
    assert folded.query("SELECT count(*) FROM tally WHERE position = -1") == [(0,)]


def test_an_errand_cannot_hide_an_error(folded: Log) -> None:
    """A statement that failed and was ignored does not take the group's saves down with it."""

    def hide(tx: Transaction) -> None:
        try:
            tx.execute("INSERT INTO tally (position, text) VALUES (1, NULL)")
        except DatabaseError:
            return

    futures = together(folded, [lambda: put(folded, note()), lambda: folded.transact(hide)])

    assert futures[0].result(0) == [1]
    assert folded.head() == 1
