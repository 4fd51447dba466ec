"""The supervisor: starts the workers and the follower, replaces the dead, ends all of them."""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gatebook.api.link import READY, REFUSED, STORE_GONE, lending
from gatebook.api.metrics import forget
from gatebook.api.notify import READY as READY_NOW
from gatebook.api.notify import STOPPING, Notices

TURN: Final = 0.2
MANY_DEATHS: Final = 5
MINUTE: Final = 60.0
LONGEST_PAUSE: Final = 5.0
STOP_SECONDS: Final = 35.0
"""A little more than a worker takes to finish what it accepted."""

_log = logging.getLogger("gatebook.supervisor")


class Child:
    """One process, and the supervisor's end of its link."""

    def __init__(
        self, name: str, command: Sequence[str], descriptors: Sequence[int], secret: bytes
    ) -> None:
        ours, theirs = socket.socketpair()
        # A SIGHUP that comes before the child can answer it waits, and does not kill it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            ours.sendall(lending(secret))
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [*command, "--link", str(theirs.fileno())],
                pass_fds=[*descriptors, theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.name = name
        self.link = ours
        self.ready = False

    def hear(self) -> None:
        """Reads what the child says. What it says at its death is nothing."""
        with contextlib.suppress(OSError):
            self.ready = self.ready or self.link.recv(16, socket.MSG_DONTWAIT)[:1] == READY

    def end(self, seconds: float) -> None:
        """Waits for its end; kills it when it takes too long."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.link.close()


class Place:
    """Where a child belongs: started again when it dies, each time after a longer pause."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        descriptors: Sequence[int],
        secret: bytes = b"",
    ) -> None:
        """`secret`: the passphrase of the environment, which is lent to each child."""
        self.name = name
        self.child: Child | None = None
        self._secret = secret
        self._command = command
        self._descriptors = descriptors
        self._deaths: deque[float] = deque(maxlen=MANY_DEATHS)
        self._not_before = 0.0

    def tend(self, now: float) -> None:
        """Notices a death, and starts the next child when its time has come."""
        if self.child is not None and self.child.process.poll() is not None:
            code = self.child.process.returncode
            _log.warning("died", extra={"fields": {"name": self.name, "code": code}})
            forget(self.child.process.pid)
            self.child.link.close()
            self.child = None
            if code in (STORE_GONE, REFUSED):
                # However long the store is away, or the configuration wrong, the service is there
                # when that is mended: a rotated master key, say, that is not configured yet.
                self._not_before = now + 1.0
                return
            self._deaths.append(now)
            recent = sum(1 for death in self._deaths if now - death < MINUTE)
            self._not_before = now + min(LONGEST_PAUSE, 0.1 * 2**recent)
        if self.child is None and now >= self._not_before:
            self.child = Child(self.name, self._command, self._descriptors, self._secret)

    def hopeless(self, now: float) -> bool:
        """Whether its children died five times within a minute."""
        full = len(self._deaths) == MANY_DEATHS
        return full and now - self._deaths[0] < MINUTE


class Supervisor:
    """Keeps a set of places filled until it is told to stop."""

    def __init__(self, workers: Sequence[Place], follower: Place, notices: Notices) -> None:
        self._workers = workers
        self._notices = notices
        self._follower = follower
        self._asked = False
        self._reload = False

    def run(self, on_ready: Callable[[], None]) -> int:
        """Returns the exit code: 0 after SIGTERM or SIGINT, 1 when a child keeps dying.

        SIGHUP is passed on: every child reads the configuration again.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGHUP, self._ask_reload)
        code, told = 0, False
        try:
            while not self._asked:
                failed = self._turn()
                self._notices.alive()
                if failed is not None:
                    sys.stderr.write(f"gatebook: {failed} keeps dying; giving up\n")
                    code = 1
                    break
                if not told and any(p.child and p.child.ready for p in self._workers):
                    told = True
                    self._notices.say(READY_NOW)
                    on_ready()
        finally:
            self._notices.say(STOPPING)
            self._end()
        return code

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def _ask_reload(self, _number: int, _frame: object) -> None:
        self._reload = True

    def _turn(self) -> str | None:
        """Tends every place and listens for a moment. Returns the name of a hopeless one."""
        now = time.monotonic()
        if self._reload:
            self._reload = False
            for place in (*self._workers, self._follower):
                if place.child is not None:
                    place.child.process.send_signal(signal.SIGHUP)
        for place in (*self._workers, self._follower):
            place.tend(now)
            if place.hopeless(now):
                return place.name
        children = [place.child for place in (*self._workers, self._follower) if place.child]
        waiting = [child.link for child in children if not child.ready]
        # A child that died has a readable link, so a death is noticed at once while one starts.
        select.select(waiting, [], [], TURN)
        for child in children:
            if not child.ready:
                child.hear()
        return None

    def _end(self) -> None:
        """The workers first: what they still answer may need the follower."""
        for group in (self._workers, (self._follower,)):
            children = [place.child for place in group if place.child is not None]
            for child in children:
                child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for child in children:
                child.end(deadline - time.monotonic())
