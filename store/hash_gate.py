"""The gate before Argon2: at most one hash a core over all processes, and a bounded queue.

A slot is a lock file, so the kernel frees it when its process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gatebook.domain.errors import Overloaded

POLL = 0.004
PATIENCE = 30.0
"""Seconds in the queue before the caller is told to come back."""


class HashGate:
    """`slots` hashes at once on this machine; `queue` callers may wait in this process."""

    def __init__(self, directory: Path, slots: int, queue: int) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._paths = [directory / f"hash-slot-{number}.lock" for number in range(slots)]
        self._queue = queue
        self._waiting = 0
        self._guard = threading.Lock()
        self._turn = threading.Semaphore(slots)
        self.observe: Callable[[int], object] = lambda _depth: None
        """Told of the depth whenever it changes."""

    @property
    def depth(self) -> int:
        """Callers of this process that wait or hash."""
        return self._waiting

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Waits for a slot. Raises Overloaded when the queue is full or the wait too long."""
        with self._guard:
            if self._waiting >= self._queue:
                raise Overloaded("Too many sign-ins are waiting. Try again shortly.", 2)
            self._waiting += 1
            self.observe(self._waiting)
        try:
            if not self._turn.acquire(timeout=PATIENCE):
                raise Overloaded("Too many sign-ins are waiting. Try again shortly.", 5)
            try:
                descriptor = self._take()
                try:
                    yield
                finally:
                    os.close(descriptor)
            finally:
                self._turn.release()
        finally:
            with self._guard:
                self._waiting -= 1
                self.observe(self._waiting)

    def _take(self) -> int:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for path in self._paths:
                descriptor = _opened(path)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                else:
                    return descriptor
            time.sleep(POLL)
        raise Overloaded("Too many sign-ins are waiting. Try again shortly.", 5)


def _opened(path: Path) -> int:
    """The lock file, which is made again if somebody tidied it away."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)
