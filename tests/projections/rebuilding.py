"""A program that rebuilds a projection and says how far it is: one to be killed.

python -m tests.projections.rebuilding URL NAME BATCH
"""

from __future__ import annotations

import sys
import time

from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import projection_named
from gatebook.store.opening import open_log
from gatebook.tools.bench import plain_codec
from tests.projections.house import StoppedClock


def tell(done: int, total: int) -> None:
    """Says where it is, and leaves time to be killed in."""
    print(done, total, flush=True)
    time.sleep(0.005)


def main() -> None:
    """Rebuilds one projection."""
    url, name, batch = sys.argv[1:]
    clock = StoppedClock()
    with open_log(url, decode=plain_codec.decode, now=clock.now) as log:
        rebuild(log, projection_named(name), clock, tell, batch=int(batch))


if __name__ == "__main__":
    main()
