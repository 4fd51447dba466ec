"""What the store's tests run in other processes: `python -m tests.store.workers VERB URL ...`.

Each line on standard output is flushed at once: the parent reads what was acknowledged.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

from tests.store.notes import note, opened, put

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process running one of the verbs below, killed at the end of the block if still there."""
    command = [sys.executable, "-m", "tests.store.workers", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def append_once(url: str) -> None:
    """One event; says its position."""
    with opened(url) as log:
        print(put(log, note(text="from a child"))[0], flush=True)


def append_until_killed(url: str) -> None:
    """Saves of two events; says the stream after each answer."""
    with opened(url) as log:
        for _ in range(100_000):
            stream = uuid4()
            put(log, note(stream, 1), note(stream, 2))
            print(stream.hex, flush=True)


def append_many(url: str, writers: str, saves: str, shared: str) -> None:
    """So many threads, each alternating between its own stream and a shared one."""
    common = UUID(shared)
    with opened(url) as log:

        def write() -> None:
            own = uuid4()
            for version in range(1, int(saves) // 2 + 1):
                put(log, note(own, version), timeout=60)
                put(log, note(common), unordered=frozenset({common}), timeout=60)

        threads = [threading.Thread(target=write) for _ in range(int(writers))]
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(time.monotonic() - started, flush=True)


def hold_lease(url: str, name: str) -> None:
    """Says whether it got the lease, then keeps it until standard input ends."""
    with opened(url) as log, log.lease(name) as lease:
        print(lease.held(), flush=True)
        sys.stdin.readline()


VERBS = {
    verb.__name__: verb for verb in (append_once, append_until_killed, append_many, hold_lease)
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
