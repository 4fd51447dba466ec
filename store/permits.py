"""A semaphore in C: the standard library's is Python, and takes ten times as long."""

from __future__ import annotations

import queue


class Permits:
    """So many at one time. Any thread may take one, and any give it back.

    `with permits:` waits for one as long as it takes.
    """

    def __init__(self, count: int) -> None:
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def take(self, timeout: float | None = None) -> bool:
        """Waits for one; False if none came free in so many seconds."""
        try:
            self._free.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def give(self) -> None:
        """Gives one back that was taken."""
        self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_failure: object) -> None:
        self._free.put(None)
