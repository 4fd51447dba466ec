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
from typing import Final

from eventsourcing.persistence import PersistenceError

from gatebook.api import logs
from gatebook.api.link import REFUSED, STORE_GONE, Link
from gatebook.api.reload import Reloads
from gatebook.domain.errors import Refusal
from gatebook.projections.follower import Follower
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House, open_house
from gatebook.store.housekeeping import sweep
from gatebook.store.log import Lease
from gatebook.store.master_key import lend
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.store.tree_signer import TreeSigner

RETRY: Final = 1.0
SWEEP_EVERY: Final = 60.0
LAST_HEAD: Final = 10.0
"""Seconds that the tree has to catch up and sign when the service ends."""

_log = logging.getLogger("gatebook.follower")


def main(argv: list[str]) -> int:
    """Follows until it is asked to end, or the supervisor is gone. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="gatebook.api.follower")
    parser.add_argument("--config", required=True)
    parser.add_argument("--link", type=int, required=True)
    options = parser.parse_args(argv)
    logs.configure()
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    link = Link(options.link)
    try:
        settings = Settings.load(options.config)
        lend(settings.master_key.passphrase_env, link.borrowed())
        house = open_house(settings)
    except ConfigurationError as error:
        _log.error("refused", extra={"fields": {"reason": str(error)}})
        return STORE_GONE if isinstance(error.__cause__, PersistenceError) else REFUSED
    try:
        reloads = Reloads(house, options.config, _log)
        house.masters.on_lost = reloads.ending(stop.set)
        reloads.listen()
        link.watch(stop.set)
        link.ready()
        _follow(house, stop)
    finally:
        house.close()
    return REFUSED if reloads.lost else 0


def _follow(house: House, stop: threading.Event) -> None:
    lease = house.store.lease("follower")
    while not stop.is_set():
        try:
            if lease.try_acquire():
                _work(house, lease, stop)
        except PersistenceError as error:
            _trouble(error)
        finally:
            lease.release()
        stop.wait(RETRY)


def _work(house: House, lease: Lease, stop: threading.Event) -> None:
    """Works while the lease is held. Losing it ends this turn, not the process."""
    turn = threading.Event()

    def guard() -> None:
        swept = time.monotonic() - SWEEP_EVERY
        while not (stop.wait(RETRY) or turn.is_set()):
            try:
                if not lease.held():
                    break
                if time.monotonic() - swept >= SWEEP_EVERY:
                    swept = time.monotonic()
                    sweep(house)
            except (PersistenceError, Refusal, ConfigurationError) as error:
                _trouble(error)
        turn.set()

    thread = threading.Thread(target=guard, name="guard", daemon=True)
    thread.start()
    tree = threading.Thread(target=_sign, args=(house, turn, stop), name="tree", daemon=True)
    tree.start()
    try:
        Follower(house.store, PROJECTIONS, house.clock).run(turn, on_trouble=_trouble)
    finally:
        turn.set()
        thread.join(timeout=5 * RETRY)
        tree.join(timeout=LAST_HEAD)


def _sign(house: House, turn: threading.Event, stop: threading.Event) -> None:
    """Signs heads for the length of a turn, and once more when the service ends.

    A thread of its own: neither a read model nor the tree waits for the other's trouble.
    """
    signer = TreeSigner(house)
    signer.run(turn, _trouble)
    if stop.is_set():
        deadline = time.monotonic() + LAST_HEAD / 2
        try:
            signer.round(lambda: time.monotonic() < deadline)
        except (PersistenceError, Refusal, OSError) as error:
            _trouble(error)


def _trouble(error: Exception) -> None:
    _log.error("trouble", extra={"fields": {"error": type(error).__name__}})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
