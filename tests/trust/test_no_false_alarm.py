"""A log that is being written to, by many at once, is never called wrong."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from uuid import uuid4

import pytest

from gatebook.projections import tree_tables
from gatebook.projections.tree import Keeper
from gatebook.store.checkpoints import CheckpointKey
from gatebook.tools.verify import Key, Unreadable, verify
from tests.store.notes import now, opened
from tests.store.workers import child

LONG = bool(os.environ.get("GATEBOOK_LONG_TESTS"))
PROCESSES, THREADS = 4, 4
KEY = CheckpointKey(b"a seed of thirty-two bytes, test")
VKEY = Key.parse(str(KEY.verifier))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty log."""
    server = None
    made = f"sqlite:///{tmp_path}/gatebook.db"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        made = server.url()
    with opened(made, create=True) as log, log.writing() as tx:
        tree_tables.create(tx)
    yield made
    if server is not None:
        server.drop(made)


def sign_until(url, stop):
    """Signs what is new, all the time, and once more at the end."""
    with opened(url) as log:
        keeper = Keeper(log)
        keeper.load()
        is_last = False
        while not is_last:
            is_last = stop.wait(0.02)
            while keeper.lag():
                keeper.step(
                    lambda size, root: tree_tables.Head(size, root, KEY.sign(size, root), now())
                )


@contextlib.contextmanager
def signer(url):
    """A signer that works beside the block."""
    stop = threading.Event()
    thread = threading.Thread(target=sign_until, args=(url, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def written_and_verified(url, events):
    """Writes so many events and verifies meanwhile. Returns how often, and the last report."""
    saves = events // (PROCESSES * THREADS)
    meanwhile = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(signer(url))
        shared = uuid4().hex
        writers = [
            stack.enter_context(child("append_many", url, THREADS, saves, shared))
            for _ in range(PROCESSES)
        ]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        deadline = time.monotonic() + 900
        while any(writer.poll() is None for writer in writers):
            try:
                report = verify(url, [VKEY])
            except Unreadable as error:
                # It began just before the first writer came, and says so.
                if "run this again" not in str(error):
                    raise
                continue
            # Before the first head is signed nothing is proven, and nothing is called changed.
            assert {one.kind for one in report.problems} <= {"unproven"}, str(report)
            assert report.ok or report.heads == 0
            meanwhile += 1
            time.sleep(0.3)
            assert time.monotonic() < deadline
        assert [writer.returncode for writer in writers] == [0] * PROCESSES
    return meanwhile, verify(url, [VKEY])


def check(url, events):
    """One run: clean beside the writers, and clean and whole after them."""
    meanwhile, report = written_and_verified(url, events)
    assert report.ok, str(report)
    assert meanwhile >= 1
    assert (report.events, report.uncovered) == (events, 0)
    assert report.agreeing == report.heads > 1


def test_sixteen_writers_in_four_processes(url):
    """What they write beside a signer verifies clean, meanwhile and afterwards."""
    check(url, 8_000)


@pytest.mark.skipif(not LONG, reason="writes four million events: ./run test-long")
@pytest.mark.parametrize("turn", range(20))
def test_a_hundred_thousand_events_twenty_times(url, turn):
    """The same with 100,000 events: 20 runs of 20 are clean."""
    check(url, 100_000)
