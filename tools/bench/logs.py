"""What a long log costs: made or found again, then measured once.

    python -m gatebook.tools.bench.logs --events 1000000 --home DIR --json FILE

`DIR` keeps the deployment, so that a second run measures the same log again; without it everything
happens in a temporary directory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gatebook.projections.feed import take
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House
from gatebook.tools import rebuilding
from gatebook.tools.bench.at_work import appended, served, token_of, verified
from gatebook.tools.bench.past import Questions, timed
from gatebook.tools.bench.synthesize import fill
from gatebook.tools.bench.tree import level
from gatebook.tools.bench.usage import family, memory
from gatebook.tools.bench.weights import made, session_bytes, weights

ASKED: Final = 50
EACH_ALONE: Final = 2_000_000
"""Events up to which each read model is also rebuilt alone: it takes as long again."""

FOLDED: Final = 500_000
"""Events that are read and folded: a rate needs no more."""

Figures = dict[str, Any]


def measure(home: Path, url: str, events: int, figures: Figures) -> None:
    """All figures, in the order in which they need each other."""
    house = made(home, url)
    try:
        missing = events - house.store.head()
        if missing > 0:
            figures["generate events/s"] = rate(lambda: fill(house, missing), missing)
        figures["events"] = head = house.store.head()
        figures |= rebuilt(house, head)
        figures |= read(house, min(head, FOLDED))
        if missing > 0:
            figures["tree catches up events/s"] = rate(lambda: level(house.store), head)
        weighed = weights(house.store)
        figures["bytes an event"] = {name: size / head for name, size in weighed.items()}
        figures |= asked(house)
        figures["append events/s, 16 threads"] = appended(house)
        access_token = token_of(house)
    finally:
        house.close()
    figures |= served(home / "gatebook.toml", access_token)
    figures["verify events/s"] = rate(lambda: verified(home / "gatebook.toml"), head)
    with tempfile.TemporaryDirectory() as other:
        figures["bytes a session with 10 refreshes"] = session_bytes(Path(other) / "one")


def rate(work: Callable[[], object], events: int) -> float:
    """Events a second by the clock."""
    began = time.perf_counter()
    work()
    return events / (time.perf_counter() - began)


def rebuilt(house: House, head: int) -> Figures:
    """All at once, as `projection rebuild --all` does, and each alone in a process of its own."""
    figures: Figures = {}
    url, began = house.settings.store_url, time.perf_counter()
    with watched() as peak:
        rebuilding.at_once(house.store, url, PROJECTIONS, lambda _name: lambda _done, _total: None)
    figures["rebuild all s"] = time.perf_counter() - began
    figures["rebuild all events/s"] = head / figures["rebuild all s"]
    figures["rebuild all MiB"] = peak()
    for one in PROJECTIONS if head <= EACH_ALONE else ():
        with (
            rebuilding.pool_of(1) as pool,
            watched() as peak,
        ):
            began = time.perf_counter()
            pool.submit(rebuilding.rebuild_one, url, one.name).result()
            figures[f"rebuild {one.name} events/s"] = head / (time.perf_counter() - began)
        figures[f"rebuild {one.name} MiB"] = peak()
    return figures


@contextmanager
def watched() -> Iterator[Callable[[], float]]:
    """The most MiB that all children of this process had at once, shared pages counted once."""
    most, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            most[0] = max(most[0], memory(family(os.getpid())[1:]).total)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: most[0]
    finally:
        over.set()
        watcher.join()


def read(house: House, events: int) -> Figures:
    """Reading and decoding alone, then with the fold of what decides access."""
    access = PROJECTIONS[0]

    def decode() -> None:
        after = 0
        with house.store.reading() as reader:
            while after < events:
                after = reader.read_sealed(after, 200)[-1].position

    def fold() -> None:
        after = 0
        with house.store.reading() as reader:
            while after < events:
                after = take(reader, access, after, 30_000).upto

    return {"read events/s": rate(decode, events), "read and fold events/s": rate(fold, events)}


def asked(house: House) -> Figures:
    """Questions about the past, at places and of accounts by chance: milliseconds, the median."""
    ask = Questions(house)
    return {
        "as of ms": timed(ask.as_of, ASKED)[0],
        "explain ms": timed(ask.explain, ASKED)[0],
        "diff of the last tenth ms": timed(lambda: ask.diff(0.9, 1), 1)[0],
    }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0].partition(": ")[2] if models else platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load average before": os.getloadavg()[0],
    }


def main() -> None:
    """Prints the figures, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--store", default="sqlite:///gatebook.db", help="the URL of its store")
    parser.add_argument("--home", type=Path, help="where the deployment is kept")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    wanted = parser.parse_args()
    command = f"python -m gatebook.tools.bench.logs --events {wanted.events} --store {wanted.store}"
    figures: Figures = {"command": command, "machine": machine()}
    with tempfile.TemporaryDirectory() as other:
        measure(wanted.home or Path(other), wanted.store, wanted.events, figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if wanted.json:
        wanted.json.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
