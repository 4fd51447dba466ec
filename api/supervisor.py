"""The supervisor: starts the workers and the follower, replaces the dead, ends all of them.

A reload is a second generation of children. They open everything with the new configuration and
wait; once all are ready the old ones stop accepting, and then the new ones begin. Connections wait
in the backlog of the listening socket, which is the supervisor's, for the moment between. If one
of the new ones refuses, all of them are ended, and nothing has changed.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

from gatebook.api.child import Child, Generation
from gatebook.api.notify import READY as READY_NOW
from gatebook.api.notify import STOPPING, Notices
from gatebook.store.settings import ConfigurationError

TURN: Final = 0.2
STOP_SECONDS: Final = 35.0
"""A little more than a worker takes to finish what it accepted."""

START_SECONDS: Final = 120.0
"""What a new generation may take until it is ready."""

CLOSING_SECONDS: Final = 5.0
"""What an old worker may take to stop accepting; who is stuck for longer shares for a while."""

_log = logging.getLogger("gatebook.supervisor")


class Configured(Protocol):
    """What is served with, and how that changes."""

    def generation(self) -> Generation:
        """Places for the children of the configuration that counts, nothing started yet."""
        ...

    def wants_reload(self) -> bool:
        """Whether something changed that is taken up unasked: a certificate."""
        ...

    def read(self) -> Generation | None:
        """The configuration as it is now, held against what must not change; None: it is the same.

        Raises ConfigurationError.
        """
        ...

    def accept(self) -> None:
        """What was read counts. Raises ConfigurationError when that cannot be recorded."""
        ...

    def refuse(self, reason: str) -> None:
        """What was read is dropped, and that is recorded."""
        ...


class Supervisor:
    """Keeps a generation's places filled until it is told to stop, or to take another."""

    def __init__(self, configured: Configured, notices: Notices) -> None:
        self._configured = configured
        self._notices = notices
        self._current = configured.generation()
        self._incoming: Generation | None = None
        self._give_up_at = 0.0
        self._outgoing: list[tuple[Child, float]] = []
        self._asked = False
        self._reload = False

    def run(self, on_ready: Callable[[], None]) -> int:
        """Returns the exit code: 0 after SIGTERM or SIGINT, 1 when a child keeps dying.

        SIGHUP reloads the configuration.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGHUP, self._ask_reload)
        code, told = 0, False
        self._current.release()
        try:
            while not self._asked:
                failed = self._turn()
                self._notices.alive()
                if failed is not None:
                    sys.stderr.write(f"gatebook: {failed} keeps dying; giving up\n")
                    code = 1
                    break
                if not told and any(p.child and p.child.ready for p in self._current.workers):
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
        if self._incoming is None and (self._reload or self._configured.wants_reload()):
            self._reload = False
            self._begin_reload(now)
        for place in self._current.places:
            place.tend(now)
            if place.hopeless(now):
                return place.name
        self._reap(now)
        self._listen(TURN)
        self._current.give_word()
        if self._incoming is not None:
            self._go_on(self._incoming)
        return None

    def _listen(self, seconds: float) -> None:
        incoming = self._incoming.children if self._incoming is not None else []
        leaving = [child for child, _deadline in self._outgoing if not child.closed]
        waiting = [
            child for child in (*self._current.children, *incoming) if not child.ready
        ] + leaving
        # A child that died has a readable link, so a death is noticed at once while one starts.
        readable, _, _ = select.select([child.link for child in waiting], [], [], seconds)
        for child in waiting:
            if child.link in readable:
                child.hear()

    # --- another configuration

    def _begin_reload(self, now: float) -> None:
        self._notices.reloading()
        try:
            incoming = self._configured.read()
        except ConfigurationError as error:
            self._refuse(str(error))
            return
        if incoming is None:
            self._notices.say(READY_NOW)
            return
        for place in incoming.places:
            place.start()
        self._incoming, self._give_up_at = incoming, now + START_SECONDS

    def _go_on(self, incoming: Generation) -> None:
        failure = incoming.failure()
        if failure is None and time.monotonic() > self._give_up_at:
            failure = f"the new processes were not ready within {START_SECONDS:.0f} s"
        if failure is None and incoming.is_ready:
            try:
                self._configured.accept()
            except ConfigurationError as error:
                failure = str(error)
            else:
                self._switch(incoming)
                return
        if failure is not None:
            incoming.end(0.0)
            self._incoming = None
            self._refuse(failure)

    def _switch(self, incoming: Generation) -> None:
        """The old ones stop accepting, then the new ones begin: no two settings at once."""
        leaving = self._current.children
        deadline = time.monotonic() + CLOSING_SECONDS
        self._outgoing += [(child, time.monotonic() + STOP_SECONDS) for child in leaving]
        for child in leaving:
            child.ask_to_end()
        self._current, self._incoming = incoming, None
        workers = [child for child in leaving if child.is_begun]
        while time.monotonic() < deadline and not all(
            child.closed or child.process.poll() is not None for child in workers
        ):
            self._listen(0.01)
        incoming.release()
        self._notices.say(READY_NOW)

    def _refuse(self, reason: str) -> None:
        _log.error("reload refused", extra={"fields": {"reason": reason}})
        self._configured.refuse(reason)
        self._notices.say(READY_NOW)

    def _reap(self, now: float) -> None:
        """Lets go of old children as they end; kills those that do not."""
        left = []
        for child, deadline in self._outgoing:
            if child.process.poll() is None and now < deadline:
                left.append((child, deadline))
            else:
                child.end(0.0)
        self._outgoing = left

    def _end(self) -> None:
        if self._incoming is not None:
            self._incoming.end(0.0)
        for child, _deadline in self._outgoing:
            if child.process.poll() is None:
                child.ask_to_end()
        self._current.end(STOP_SECONDS)
        for child, _deadline in self._outgoing:
            child.end(0.0)
