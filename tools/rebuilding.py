"""Rebuilding several read models of a long log at once, each in a process of its own."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Final, NoReturn

from eventsourcing.persistence import OperationalError

from gatebook.projections import bookkeeping
from gatebook.projections.errors import FoldFailed, SwitchedMeanwhile, UnknownProjection
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import Rebuilt, rebuild
from gatebook.projections.registry import projection_named
from gatebook.store.log import Log
from gatebook.store.mapper import EventMapper
from gatebook.store.opening import open_log
from gatebook.store.system import SystemClock

WORTHWHILE: Final = 200_000
"""Events from which on the start of a process is made up for."""

LONGEST_FIRST: Final = ("audit", "access", "sessions", "accounts")
TELL_EVERY: Final = 0.5
ATTEMPTS: Final = 20
"""A build that found the store busy goes on where it stopped. A long index keeps others waiting."""

Bars = Callable[[str], Callable[[int, int], None]]


class RebuildFailed(Exception):
    """One of them failed; the text says which and why. The others are done."""


def at_once(log: Log, url: str, chosen: Sequence[Projection], bars: Bars) -> list[Rebuilt]:
    """Rebuilds read models, as many at a time as there are cores. Raises RebuildFailed."""
    names = sorted((one.name for one in chosen), key=_place)
    cores = len(os.sched_getaffinity(0))
    tells = {one.name: bars(one.name) for one in chosen}
    with pool_of(min(cores, len(names))) as pool:
        built = {name: pool.submit(rebuild_one, url, name) for name in names}
        _tell(log, built, tells)
    results = {name: _result(name, one) for name, one in built.items()}
    wrong = [one for one in results.values() if isinstance(one, str)]
    if wrong:
        raise RebuildFailed("; ".join(wrong))
    return [one for name in tells if isinstance(one := results[name], Rebuilt)]


def _result(name: str, one: Future[Rebuilt | str]) -> Rebuilt | str:
    try:
        return one.result()
    except BrokenProcessPool:
        return f"{name}: its process was killed; what is built of it is where the next one goes on"


def pool_of(processes: int) -> ProcessPoolExecutor:
    """Processes that end with this one, however it ends."""
    return ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # this is run in the other process

    def watch() -> None:
        parent.join()
        # Nobody waits for the build. What is committed of it is where the next one goes on.
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _place(name: str) -> int:
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else -1


def _tell(
    log: Log,
    built: dict[str, Future[Rebuilt | str]],
    tells: dict[str, Callable[[int, int], None]],
) -> None:
    """Says how far each is, until all are done."""
    left = set(built.values())
    while left:
        left = wait(left, TELL_EVERY, FIRST_COMPLETED).not_done
        with log.reading() as reader:
            head = reader.head()
            under_way = {name: bookkeeping.building(reader, name) for name in built}
        for name, one in built.items():
            build = under_way[name]
            done = head if one.done() else build.position if build is not None else 0
            tells[name](done, head)


def rebuild_one(url: str, name: str) -> Rebuilt | str:
    """What a process does. A failure comes back as text: not every exception can be sent."""
    # Thousands of changes wait, none in a cycle: to look for one is a sixth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    clock = SystemClock()
    with open_log(url, decode=EventMapper(_NoKeys()).decode, now=clock.now) as log:
        for left in reversed(range(ATTEMPTS)):
            try:
                return rebuild(log, projection_named(name), clock, lambda _done, _total: None)
            except OperationalError as error:
                if not left:
                    return f"{name}: {error}"
            except (FoldFailed, SwitchedMeanwhile, UnknownProjection) as error:
                return str(error)
    raise AssertionError("unreachable")


class _NoKeys:
    """Read models hold nothing that is sealed, so their rebuilding needs no key."""

    def seal(self, name: str, plaintext: bytes, associated: bytes) -> NoReturn:  # noqa: ARG002  # see Sealing
        raise KeyError(name)

    def open(self, name: str, sealed: bytes, associated: bytes) -> NoReturn:  # noqa: ARG002  # see Sealing
        raise KeyError(name)

    def create_named(self, name: str) -> NoReturn:
        raise KeyError(name)
