"""The link between a child process and its supervisor: a socket that closes when either dies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

READY: Final = b"r"

STORE_GONE: Final = 75
"""The exit code of a child that could not open the store: it says nothing against the child."""


REFUSED: Final = 78
"""That of one that could not use its configuration, which was right when the supervisor began."""

_LENGTH: Final = 4


def lending(secret: bytes) -> bytes:
    """What a supervisor sends first: the passphrase that the child's environment does not hold."""
    return len(secret).to_bytes(_LENGTH, "big") + secret


class Link:
    """The child's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)

    def borrowed(self) -> bytes:
        """The passphrase that the supervisor lends, or nothing. Read once, before all else."""
        return self._exactly(int.from_bytes(self._exactly(_LENGTH), "big"))

    def _exactly(self, count: int) -> bytes:
        held = b""
        while len(held) < count:
            part = self._socket.recv(count - len(held))
            if not part:
                return b""  # the supervisor is gone, and so is the use of this process
            held += part
        return held

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
