"""Reading from a PostgreSQL that may hang: stopped, or its machine frozen, it says nothing at all.

No timeout of TCP sees that, since a kernel acknowledges all the same; and a statement that takes
long is no fault. So while nothing comes, the server is asked for another connection now and then.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Generator
from typing import Any, Final, Self, TypeVar

import psycopg

SILENCE: Final = 4.0
"""Seconds without a byte until the server is asked whether it is there."""

PROBE_SECONDS: Final = 3
"""What it may take to answer. With `SILENCE` a reader knows within ten seconds."""

BELIEVED: Final = 3.0
"""Seconds for which nobody waits for a server that did not answer."""

T = TypeVar("T")
Row = tuple[Any, ...]


class Pulse:
    """Whether a server takes connections, as far as this process knows. Any thread may ask."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._gate = threading.Lock()
        self._gone_until = 0.0
        self._there_at = float("-inf")

    @property
    def is_gone(self) -> bool:
        """Whether it was found not to answer just now."""
        return time.monotonic() < self._gone_until

    def missed(self) -> None:
        """Takes note that it did not answer."""
        self._gone_until = time.monotonic() + BELIEVED

    def answers(self) -> bool:
        """Asks it, unless somebody just did. One asks, others wait for what he learns."""
        with self._gate:
            if self.is_gone:
                return False
            if time.monotonic() - self._there_at < SILENCE:
                return True
            try:
                psycopg.connect(self._conninfo, connect_timeout=PROBE_SECONDS).close()
            except psycopg.errors.ConnectionTimeout:
                self.missed()
                return False
            except psycopg.Error:
                pass  # a refusal is an answer
            self._there_at = time.monotonic()
            return True


@functools.lru_cache(maxsize=16)
def pulse_of(conninfo: str) -> Pulse:
    """The one that this process has for a server."""
    return Pulse(conninfo)


class WatchedConnection(psycopg.Connection[Row]):
    """One that is closed, with an OperationalError, when the server stops answering."""

    pulse: Pulse | None = None

    def watched_by(self, pulse: Pulse) -> Self:
        """Watches from here on."""
        self.pulse = pulse
        return self

    def wait(self, gen: Generator[int, int, T], *args: Any, **options: Any) -> T:
        """As the driver waits; it comes back every tenth of a second while nothing happens."""
        watched = gen if self.pulse is None else self._watched(gen, self.pulse)
        return super().wait(watched, *args, **options)  # type: ignore[arg-type]  # the driver's own types of states are enumerations of int

    def _watched(self, gen: Generator[int, int, T], pulse: Pulse) -> Generator[int, int, T]:
        silent_since = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    silent_since = time.monotonic()
                elif pulse.is_gone or time.monotonic() - silent_since > SILENCE:
                    if not pulse.answers():
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the server does not answer")
                    silent_since = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returns
