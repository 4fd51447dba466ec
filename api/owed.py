"""Bodies that were announced and have not arrived: each keeps a thread waiting."""

from __future__ import annotations

import threading
from typing import Final

from gatebook.domain.network import network_of

BODIES: Final = 256
"""Bodies that a worker waits for at once: each holds a thread, which is none of the handlers'."""

BODIES_OF_ONE: Final = 64
"""Of them those that one address may owe: an honest body comes together with its header."""

WAITING: Final = 64
PATIENCE: Final = 0.25
"""Seconds that so many more wait until their address owes less, before they are refused."""


class Owed:
    """How many bodies each address, or /64 of IPv6, has announced that have not arrived."""

    def __init__(self) -> None:
        self._of: dict[bytes, int] = {}
        self._total = 0
        self._waiting = 0
        self._changed = threading.Condition(threading.Lock())

    def begin(self, address: str) -> bool:
        """Counts one more, after a moment if need be; False when that would be too many."""
        source = network_of(address)
        with self._changed:
            if not self._has_room(source):
                if self._waiting >= WAITING:
                    return False
                self._waiting += 1
                has_room = self._changed.wait_for(lambda: self._has_room(source), PATIENCE)
                self._waiting -= 1
                if not has_room:
                    return False
            self._of[source] = self._of.get(source, 0) + 1
            self._total += 1
            return True

    def end(self, address: str) -> None:
        """It arrived, or never will. Whoever owes nothing is forgotten."""
        source = network_of(address)
        with self._changed:
            self._total -= 1
            self._of[source] -= 1
            if not self._of[source]:
                del self._of[source]
            if self._waiting:
                self._changed.notify_all()

    def _has_room(self, source: bytes) -> bool:
        return self._total < BODIES and self._of.get(source, 0) < BODIES_OF_ONE
