"""Telling systemd how the service stands: sd_notify(3), where NOTIFY_SOCKET names a socket."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"
RELOADING: Final = "RELOADING=1"


class Notices:
    """One-way messages, lost if nobody listens. Without NOTIFY_SOCKET nothing is sent."""

    def __init__(self) -> None:
        # Taken away, so that no child of ours speaks in our name.
        address = os.environ.pop("NOTIFY_SOCKET", "")  # noqa: TID251 - systemd's own
        microseconds = os.environ.pop("WATCHDOG_USEC", "")  # noqa: TID251 - as above
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = int(microseconds) / 2_000_000 if microseconds.isdigit() else 0.0
        self._next = 0.0

    def say(self, *lines: str) -> None:
        """Sends some assignments."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return

    def reloading(self) -> None:
        """A reload begins. systemd wants to know when, by the clock that only goes on."""
        self.say(RELOADING, f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """Feeds the watchdog, when it is due."""
        if self._every and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self.say(ALIVE)
