"""Following the log: waiting and subscriptions, across threads and processes."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

from eventsourcing.persistence import StoredEvent

from gatebook.store.log import Log
from gatebook.store.recorder import LogRecorder
from tests.store.notes import METADATA, note, opened, put
from tests.store.workers import child


def test_waiting_ends_with_the_timeout(log: Log) -> None:
    """With nothing new `wait` returns the head when its time is up."""
    put(log, note())
    started = time.monotonic()

    assert log.wait(1, 0.1) == 1
    assert 0.09 < time.monotonic() - started < 2
    assert log.wait(0, 5) == 1


def test_waiting_ends_with_an_append_of_this_process(log: Log) -> None:
    """Who waits learns of an append of another thread at once."""
    later = threading.Timer(0.1, put, (log, note()))
    later.start()
    started = time.monotonic()

    assert log.wait(0, 10) == 1
    assert time.monotonic() - started < 2
    later.join()


def test_waiting_ends_with_an_append_of_another_store(url: str, log: Log) -> None:
    """Who waits learns of an append that did not pass through this object, well within 1 s."""
    with opened(url) as other:
        log.wait(0, 0.3)  # the listener needs its connection first
        later = threading.Timer(0.1, put, (other, note()))
        later.start()
        started = time.monotonic()

        assert log.wait(0, 10) == 1
        assert time.monotonic() - started < 0.8
        later.join()


def test_waiting_ends_with_an_append_of_another_process(url: str, log: Log) -> None:
    """Who waits learns of another process's append."""
    with child("append_once", url) as process:
        assert log.wait(0, 20) == 1
        assert process.wait(20) == 0


def test_a_subscription_sees_every_process(url: str, log: Log) -> None:
    """A subscription yields what is there, then what this and other processes add, in order."""
    put(log, *[note() for _ in range(600)])
    seen: list[int] = []
    with LogRecorder(log).subscribe(gt=10) as subscription, child("append_once", url):
        for notification in subscription:
            seen.append(notification.id)
            if len(seen) == 300:
                put(log, note())
            if len(seen) == 592:
                break

    assert list(range(11, 603)) == seen


def test_a_subscription_by_topic_passes_over_the_others(log: Log) -> None:
    """Only the wanted topics are yielded, and what lies between does not stop it."""

    def stored(topic: str) -> StoredEvent:
        return StoredEvent(uuid4(), 1, topic, b"")

    log.append([stored("a"), *[stored("b") for _ in range(50)], stored("a")], metadata=METADATA)
    with LogRecorder(log).subscribe(topics=["a"]) as subscription:
        assert [next(subscription).id, next(subscription).id] == [1, 52]
        log.append([stored("b"), stored("a")], metadata=METADATA)
        assert next(subscription).id == 54


def test_a_subscription_stops(log: Log) -> None:
    """A stop from another thread ends the iteration though nothing arrives."""
    with LogRecorder(log).subscribe() as subscription:
        later = threading.Timer(0.1, subscription.stop)
        later.start()

        assert list(subscription) == []
        later.join()
