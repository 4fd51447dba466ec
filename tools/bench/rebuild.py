"""How fast the read models are built anew.

    python tools/bench/synthesize.py URL 1000000
    python tools/bench/rebuild.py URL [NAME...]

Prints events a second for each projection: bare reading and decoding first, then each rebuild;
by the clock, and by this process's own processor time, which says more on a busy machine.
"""

from __future__ import annotations

import sys
import time

from gatebook.projections.engine import ensure, status
from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS, projection_named
from gatebook.store.log import Log
from gatebook.store.opening import open_log
from gatebook.store.system import SystemClock
from gatebook.tools.bench import plain_codec


def read_all(log: Log) -> int:
    """Reads and decodes every event. Returns how many."""
    position = 0
    with log.reading() as reader:
        while events := reader.read(position, 10_000):
            position = events[-1].position
    return position


def tell(name: str, events: int, began: float, spent: float) -> None:
    """One line of the report."""
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    print(
        f"{name:16} {events / seconds:9,.0f} events/s ({seconds:.1f} s), "
        f"{events / processor:9,.0f} by processor time",
        flush=True,
    )


def main() -> None:
    """Measures a store made by synthesize.py."""
    url, names = sys.argv[1], sys.argv[2:] or [p.name for p in PROJECTIONS]
    clock = SystemClock()
    with open_log(url, decode=plain_codec.decode, now=clock.now) as log:
        began, spent = time.perf_counter(), time.process_time()
        events = read_all(log)
        tell("read and decode", events, began, spent)
        # Following projections only: `access` is built below, where it is measured.
        ensure(log, [p for p in PROJECTIONS if not p.inline], clock)
        for name in names:
            projection = projection_named(name)
            began, spent = time.perf_counter(), time.process_time()
            if projection.inline and status(log, [projection])[0].status == "missing":
                ensure(log, [projection], clock)
            else:
                rebuild(log, projection, clock, lambda _done, _total: None)
            tell(name, events, began, spent)


if __name__ == "__main__":
    main()
