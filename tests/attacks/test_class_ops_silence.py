"""Operations: a child that is there and does nothing, while it holds what others wait for."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from gatebook.api import child
from gatebook.api.child import Child, Place
from gatebook.api.link import lending
from tests.system.family import kill, until

PROGRAM = """
import sys, threading
from gatebook.api.link import Link
link = Link(int(sys.argv[-1]))
link.borrowed()
ended = threading.Event()
if link.ready():
    link.watch(ended.set)
    ended.wait(60)
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Where a child is that does nothing but answer; asked ten times a second."""
    monkeypatch.setattr(child, "ASK_EVERY", 0.1)
    made = Place("the child", [sys.executable, "-c", PROGRAM], [], lending(b"{}", b""))
    yield made
    if made.child is not None:
        made.child.end(0.0)


def tended(place: Place) -> Child | None:
    """What a supervisor does at every turn. Returns the child if it works."""
    place.tend(time.monotonic())
    found = place.child
    if found is None:
        return None
    found.hear()
    if found.ready:
        found.begin()
    return found if found.is_begun else None


def begun(place: Place) -> Child:
    """Waits for a child that works, and has been asked."""
    until("one works", lambda: tended(place) is not None)
    assert place.child is not None
    return place.child


def test_a_child_that_is_stopped_is_replaced(place: Place) -> None:
    """It answers no question, so it is killed, and another one has its place."""
    first = begun(place)
    kill(first.process.pid, signal.SIGSTOP)
    until("another one works", lambda: tended(place) not in (None, first))
    assert first.process.returncode == -signal.SIGKILL
    assert not place.hopeless(time.monotonic())


def test_a_supervisor_that_was_stopped_too(place: Place) -> None:
    """Both were frozen for long: nothing was asked meanwhile, and nobody is killed for it."""
    first = begun(place)
    kill(first.process.pid, signal.SIGSTOP)
    time.sleep(1.0)
    kill(first.process.pid, signal.SIGCONT)
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        assert tended(place) is first
        time.sleep(0.02)
