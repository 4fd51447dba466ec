"""The link between a child process and its supervisor: a socket that closes when either dies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

READY: Final = b"r"

STORE_GONE: Final = 75
"""The exit code of a child that could not open the store: it says nothing against the child."""


class Link:
    """The child's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)

    def ready(self) -> None:
        """Tells the supervisor that this process does its work now."""
        self._socket.sendall(READY)

    def watch(self, on_loss: Callable[[], object]) -> None:
        """Calls `on_loss`, in a thread of its own, when the supervisor is gone."""

        def wait() -> None:
            try:
                while self._socket.recv(1):
                    pass
            except OSError:
                pass
            on_loss()

        threading.Thread(target=wait, name="link", daemon=True).start()
