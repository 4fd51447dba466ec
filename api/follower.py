"""The follower: one process a deployment that keeps the read models level and tidies up.

Run by the supervisor as `python -m gatebook.api.follower`, never by hand. Every node starts one;
whichever holds the lease works, the others try again every second.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from eventsourcing.persistence import PersistenceError

from gatebook.api import logs
from gatebook.api.child_process import Lost, run
from gatebook.api.link import REFUSED, Link
from gatebook.domain.deployment import ProjectionDrifted
from gatebook.domain.errors import Refusal
from gatebook.projections.follower import Follower, GaveWay
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House
from gatebook.store.housekeeping import sweep
from gatebook.store.log import Lease
from gatebook.store.self_checks import SelfChecks
from gatebook.store.tree_signer import TreeSigner

RETRY: Final = 1.0
SWEEP_EVERY: Final = 60.0
GIVE_WAY: Final = 3.0
"""Seconds that a follower which cannot read an event leaves the lease to one that may."""
STUCK_FOR: Final = 30.0
"""Seconds until it does so again, while it goes on with what it can."""
LAST_HEAD: Final = 10.0
"""Seconds that the tree has to catch up and sign when the service ends."""

_log = logging.getLogger("gatebook.follower")


def main(argv: list[str]) -> int:
    """Follows until it is asked to end, or the supervisor is gone. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="gatebook.api.follower")
    parser.add_argument("--link", type=int, required=True)
    options = parser.parse_args(argv)
    logs.configure()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    link = Link(options.link)
    return run(link, _log, lambda house: _begin(house, link, stop))


def _begin(house: House, link: Link, stop: threading.Event) -> int:
    lost = Lost(stop.set, _log)
    house.masters.on_lost = lost
    if link.ready():
        link.watch(stop.set)
        _follow(house, stop)
    return REFUSED if lost.reason else 0


def _follow(house: House, stop: threading.Event) -> None:
    lease = house.store.lease("follower")
    follower = Follower(house.store, PROJECTIONS, house.clock)
    follower.gives_way = True
    while not stop.is_set():
        pause = RETRY
        try:
            if follower.superseded():
                pass  # a newer program's follower has the read models, and the tree with them
            elif lease.try_acquire():
                pause = _turn(house, follower, lease, stop)
            else:
                follower.gives_way = True
                follower.upgrade(stop)
                house.readings.sweep(house.clock.now())  # counted on this machine alone
        except PersistenceError as error:
            _trouble(error)
        finally:
            lease.release()
        stop.wait(pause)


def _turn(house: House, follower: Follower, lease: Lease, stop: threading.Event) -> float:
    """Works while it may. Returns the seconds to leave the lease to others.

    A follower that meets an event of a newer program leaves first, and halts the projection only
    when nobody else took the lease meanwhile.
    """
    try:
        _work(house, follower, lease, stop)
    except GaveWay as given:
        _log.warning("gave way", extra={"fields": {"reason": str(given)}})
        follower.gives_way = False
        return GIVE_WAY
    return RETRY if follower.gives_way else GIVE_WAY


def _work(house: House, follower: Follower, lease: Lease, stop: threading.Event) -> None:
    """Works while the lease is held. Losing it ends this turn, not the process."""
    turn = threading.Event()

    def guard() -> None:
        began = time.monotonic()
        swept = began - SWEEP_EVERY
        while not (stop.wait(RETRY) or turn.is_set()):
            try:
                if not lease.held() or follower.superseded():
                    break
                if time.monotonic() - began >= STUCK_FOR and follower.stuck():
                    break
                if time.monotonic() - swept >= SWEEP_EVERY:
                    swept = time.monotonic()
                    sweep(house)
            except Exception as error:  # without the guard a lost lease would not be noticed
                _trouble(error)
        turn.set()

    thread = threading.Thread(target=guard, name="guard", daemon=True)
    thread.start()
    tree = threading.Thread(target=_sign, args=(house, turn, stop), name="tree", daemon=True)
    tree.start()
    check = threading.Thread(target=_check, args=(house, turn), name="check", daemon=True)
    check.start()
    try:
        follower.run(turn, on_trouble=_trouble)
    finally:
        turn.set()
        thread.join(timeout=5 * RETRY)
        check.join(timeout=5 * RETRY)
        tree.join(timeout=LAST_HEAD)


def _sign(house: House, turn: threading.Event, stop: threading.Event) -> None:
    """Signs heads for the length of a turn, and once more when the service ends.

    A thread of its own: neither a read model nor the tree waits for the other's trouble.
    """
    signer = TreeSigner(house, _evidence)
    signer.run(turn, _trouble)
    if stop.is_set():
        deadline = time.monotonic() + LAST_HEAD / 2
        try:
            signer.round(lambda: time.monotonic() < deadline)
        except (PersistenceError, Refusal, OSError) as error:
            _trouble(error)


def _check(house: House, turn: threading.Event) -> None:
    """Holds the read models against the log, slowly, for the length of a turn."""
    SelfChecks(house, PROJECTIONS).run(turn, _trouble, _drifted)


def _drifted(found: ProjectionDrifted) -> None:
    """Whatever it was, it was nothing that Gatebook does."""
    fields = {"projection": found.projection, "table": found.table, "rows": found.rows}
    _log.error("read model drifted", extra={"fields": fields})


def _evidence(what: str, fields: Mapping[str, str]) -> None:
    """Signing or a witness stopped, or goes on: evidence is at stake, so each is said once."""
    level = logging.INFO if what in ("signing goes on", "witness good again") else logging.ERROR
    _log.log(level, what, extra={"fields": dict(fields)})


def _trouble(error: Exception) -> None:
    _log.error("trouble", extra={"fields": {"error": type(error).__name__}})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
