"""A child process as its supervisor has it: started, heard, replaced when it dies, ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from gatebook.api.link import ASKED, CLOSED, GO, READY, REASON, REFUSED, STORE_GONE
from gatebook.api.metrics import forget

MANY_DEATHS: Final = 5
MINUTE: Final = 60.0
LONGEST_PAUSE: Final = 5.0
ASK_EVERY: Final = 10.0
MOST_UNANSWERED: Final = 6
"""Counted in questions, not in time: what froze the child may have frozen the supervisor too."""


_MALLOC: Final = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4194304"
"""What Argon2 takes for a hash comes in large pages, which cost a fifth of the hash less than small
ones, and is given back after each: else every thread that hashed keeps it. The hash is the same."""

_log = logging.getLogger("gatebook.supervisor")


def _environment() -> dict[str, str]:
    """Ours, with the allocator set up, unless the operator has done that himself."""
    return {"GLIBC_TUNABLES": _MALLOC, **os.environ}  # noqa: TID251 - read by libc alone


class Child:
    """One process, and the supervisor's end of its link."""

    def __init__(
        self, name: str, command: Sequence[str], descriptors: Sequence[int], lent: bytes
    ) -> None:
        ours, theirs = socket.socketpair()
        # A SIGHUP to all of us, before the child can ignore it, must not kill it: it inherits this.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            ours.sendall(lent)
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [*command, "--link", str(theirs.fileno())],
                pass_fds=[*descriptors, theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.name = name
        self.link = ours
        self.ready = self.closed = self.is_begun = False
        self.reason = ""
        self._ask_at = 0.0
        self._unanswered = 0

    def hear(self) -> None:
        """Takes in what the child has said. What it says at its death counts as well."""
        with contextlib.suppress(OSError):
            said = self.link.recv(4096, socket.MSG_DONTWAIT)
            words, _, reason = said.partition(REASON)
            self.ready = self.ready or READY in words
            self.closed = self.closed or CLOSED in words
            self._unanswered = 0 if ASKED in words else self._unanswered
            self.reason = self.reason or reason.decode(errors="replace").strip()

    def begin(self) -> None:
        """Gives the word, once."""
        if not self.is_begun:
            self.is_begun = True
            with contextlib.suppress(OSError):
                self.link.sendall(GO)

    def is_silent(self, now: float) -> bool:
        """Asks whether it is there, when that is due. True, once, if it is stopped or stuck."""
        if not self.is_begun or now < self._ask_at:
            return False
        self._ask_at = now + ASK_EVERY
        self.hear()
        if self._unanswered >= MOST_UNANSWERED:
            self._ask_at = float("inf")
            return True
        self._unanswered += 1
        with contextlib.suppress(OSError):
            self.link.send(ASKED, socket.MSG_DONTWAIT)
        return False

    def ask_to_end(self) -> None:
        """Whoever has not begun has nothing to finish."""
        self.process.send_signal(signal.SIGTERM if self.is_begun else signal.SIGKILL)

    def end(self, seconds: float) -> None:
        """Waits for its end; kills it when it takes too long."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.bury()

    def bury(self) -> None:
        """Lets go of what is left of a process that has ended."""
        forget(self.process.pid)
        self.link.close()


class Place:
    """Where a child belongs: started again when it dies, each time after a longer pause.

    Once `is_released` its children begin as soon as they are ready.
    """

    def __init__(
        self, name: str, command: Sequence[str], descriptors: Sequence[int], lent: bytes
    ) -> None:
        """`lent` is what each child is sent first: see `link.lending`."""
        self.name = name
        self.child: Child | None = None
        self.is_released = False
        self._command = command
        self._descriptors = descriptors
        self._lent = lent
        self._deaths: deque[float] = deque(maxlen=MANY_DEATHS)
        self._not_before = 0.0

    def start(self) -> Child:
        """Starts a child."""
        self.child = Child(self.name, self._command, self._descriptors, self._lent)
        return self.child

    def tend(self, now: float) -> None:
        """Notices a death, and starts the next child when its time has come."""
        child = self.child
        if child is not None and child.process.poll() is not None:
            code = child.process.returncode
            _log.warning("died", extra={"fields": {"name": self.name, "code": code}})
            child.bury()
            self.child = None
            if code in (STORE_GONE, REFUSED):
                # However long the store is away, or the configuration wrong, the service is there
                # when that is mended: a rotated master key, say, that is not configured yet.
                self._not_before = now + 1.0
                return
            self._deaths.append(now)
            recent = sum(1 for death in self._deaths if now - death < MINUTE)
            self._not_before = now + min(LONGEST_PAUSE, 0.1 * 2**recent)
        elif child is not None and child.is_silent(now):
            # As good as dead, but for what it holds: the follower's lease, a lock of the store.
            _log.error("silent", extra={"fields": {"name": self.name}})
            child.process.kill()
        if self.child is None and now >= self._not_before:
            self.start()

    def hopeless(self, now: float) -> bool:
        """Whether its children died five times within a minute."""
        full = len(self._deaths) == MANY_DEATHS
        return full and now - self._deaths[0] < MINUTE


class Generation:
    """All children of one configuration: the workers, and the follower."""

    def __init__(self, workers: Sequence[Place], follower: Place) -> None:
        self.workers = workers
        self.follower = follower

    @property
    def places(self) -> tuple[Place, ...]:
        """The workers' and the follower's."""
        return (*self.workers, self.follower)

    @property
    def children(self) -> list[Child]:
        """Those that run, as far as is known."""
        return [place.child for place in self.places if place.child is not None]

    @property
    def is_ready(self) -> bool:
        """Whether all could begin."""
        return all(place.child is not None and place.child.ready for place in self.places)

    def release(self) -> None:
        """Lets them begin, and whoever comes in their place."""
        for place in self.places:
            place.is_released = True
        self.give_word()

    def give_word(self) -> None:
        """Tells those that are ready and have not heard it."""
        for place in self.places:
            if place.is_released and place.child is not None and place.child.ready:
                place.child.begin()

    def failure(self) -> str | None:
        """Why one of them could not begin; None while none has died."""
        for place in self.places:
            child = place.child
            if child is not None and child.process.poll() is not None:
                child.hear()
                code = child.process.returncode
                return child.reason or f"{place.name} ended with code {code} before it was ready"
        return None

    def end(self, seconds: float) -> None:
        """Ends all. The workers first: what they still answer may need the follower."""
        for group in (self.workers, (self.follower,)):
            children = [place.child for place in group if place.child is not None]
            for child in children:
                child.ask_to_end()
            deadline = time.monotonic() + seconds
            for child in children:
                child.end(deadline - time.monotonic())
