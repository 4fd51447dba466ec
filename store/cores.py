"""Which core a worker computes on.

Python threads take one lock from each other. Let loose on several cores they fight for it, and a
request costs up to five times the processor time that it costs on one: so each worker stays on a
core of its own. A hash needs no lock: it goes wherever there is room.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from zlib import crc32

_allowed: frozenset[int] = frozenset()
"""What this process might run on, once it was settled on one of them."""


def settle(number: int) -> None:
    """Keeps this process, the `number`-th of its supervisor's workers, on one core.

    Called before it starts a thread: each inherits it. Where that is refused, nothing changes.
    """
    global _allowed
    if not hasattr(os, "sched_setaffinity"):
        return
    with suppress(OSError):
        cores = sorted(os.sched_getaffinity(0))
        # Two servers on one machine should not both begin with the first core: nor two containers,
        # in which every supervisor is process 1.
        first = crc32(socket.gethostname().encode()) + os.getppid()
        os.sched_setaffinity(0, {cores[(first + number) % len(cores)]})
        _allowed = frozenset(cores)


@contextmanager
def everywhere() -> Iterator[None]:
    """Lets this thread, and those that it starts, run on every core again."""
    if not _allowed:
        yield
        return
    own = os.sched_getaffinity(0)
    _run_on(_allowed)
    try:
        yield
    finally:
        _run_on(own)


def _run_on(cores: Iterable[int]) -> None:
    """Not worth a failed sign-in: cores may have been taken from us while we ran."""
    with suppress(OSError):
        os.sched_setaffinity(0, cores)
