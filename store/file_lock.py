"""A lock between processes on one machine: `flock`, with a turnstile that keeps it fair."""

from __future__ import annotations

import fcntl
import os
import time
import weakref

_FIRST_PAUSE = 0.00005
_LONGEST_PAUSE = 0.002


class FileLock:
    """An exclusive lock held through an open file, and lost with the process that holds it.

    With `turnstile`, who waits holds a second file meanwhile. A process that releases the lock and
    wants it again at once must pass the turnstile first, so it cannot overtake who waited.
    Not for use by two threads at once.
    """

    def __init__(self, path: str, *, turnstile: str | None = None) -> None:
        self._path = path
        self._turnstile_path = turnstile
        self._door: int | None = None
        self._turnstile: int | None = None
        self.held = False
        _open_locks.add(self)

    def acquire(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds. Raises `OSError` when the lock file cannot be opened."""
        if self._door is None:
            self._door = _open(self._path)
        if self._turnstile_path is None:
            self.held = _take(self._door, time.monotonic() + timeout)
            return self.held
        if self._turnstile is None:
            self._turnstile = _open(self._turnstile_path)
        deadline = time.monotonic() + timeout
        if not _take(self._turnstile, deadline):
            return False
        try:
            self.held = _take(self._door, deadline)
        finally:
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        return self.held

    def release(self) -> None:
        if self.held and self._door is not None:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        self.held = False

    def close(self) -> None:
        """Closing the file releases the lock, unless a forked child still has it open."""
        self.release()
        self.forget()

    def forget(self) -> None:
        """Closes the files without unlocking: what a forked child does with its parent's lock."""
        for descriptor in (self._door, self._turnstile):
            if descriptor is not None:
                os.close(descriptor)
        self._door = self._turnstile = None
        self.held = False


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int, deadline: float) -> bool:
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        else:
            return True


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_inherited() -> None:
    """A child that kept these files open would hold its parent's locks beyond its death."""
    for lock in list(_open_locks):
        lock.forget()


os.register_at_fork(after_in_child=_forget_inherited)
