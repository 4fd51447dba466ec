"""How many bodies may be owed at one time."""

from __future__ import annotations

import threading
import time

import pytest

from gatebook.api import owed
from gatebook.api.owed import BODIES, BODIES_OF_ONE, WAITING, Owed


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "PATIENCE", 0.05)


def test_one_address_owes_so_many_and_leaves_room_for_others() -> None:
    """One more of the same address is refused after a moment, another's first is taken at once."""
    bodies = Owed()
    assert all(bodies.begin("192.0.2.1") for _ in range(BODIES_OF_ONE))
    assert not bodies.begin("192.0.2.1")
    assert bodies.begin("192.0.2.2")


def test_a_network_of_ipv6_is_one() -> None:
    """Whoever has one address has all of its /64."""
    bodies = Owed()
    assert all(bodies.begin(f"2001:db8::{place:x}") for place in range(BODIES_OF_ONE))
    assert not bodies.begin("2001:db8::ffff")
    assert bodies.begin("2001:db8:0:1::1")


def test_all_together_owe_so_many() -> None:
    """However many addresses they come from."""
    bodies = Owed()
    assert all(bodies.begin(f"192.0.{place // 250}.{place % 250}") for place in range(BODIES))
    assert not bodies.begin("198.51.100.1")


def test_who_waits_is_let_in_when_one_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of honest bodies is waited for, not refused."""
    monkeypatch.setattr(owed, "PATIENCE", 5.0)
    bodies, let_in = Owed(), threading.Event()
    for _ in range(BODIES_OF_ONE):
        assert bodies.begin("192.0.2.1")

    def wait() -> None:
        if bodies.begin("192.0.2.1"):
            let_in.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not let_in.wait(0.05)
    bodies.end("192.0.2.1")
    assert let_in.wait(5)
    thread.join()


def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that a refusal comes at once: a thread that waits is one that answers nobody."""
    monkeypatch.setattr(owed, "PATIENCE", 0.5)
    bodies = Owed()
    for _ in range(BODIES_OF_ONE):
        assert bodies.begin("192.0.2.1")
    threads = [threading.Thread(target=bodies.begin, args=("192.0.2.1",)) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert not bodies.begin("192.0.2.1")
    assert time.monotonic() - began < 0.4
    for thread in threads:
        thread.join()
