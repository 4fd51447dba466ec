"""The link between a child process and its supervisor: a socket that closes when either dies.

The supervisor first lends the child what it is to serve with: the settings, decided once for all
children, the passphrase that no environment holds, the certificate and key that were accepted,
whatever their files hold now. The child says that it is ready, waits for
the word to begin, and says when it has stopped accepting.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

READY: Final = b"r"
CLOSED: Final = b"c"
REASON: Final = b"x"
GO: Final = b"g"
ASKED: Final = b"a"
"""Whether the child is there: asked by the supervisor now and then, and answered with the same."""

STORE_GONE: Final = 75
"""The exit code of a child that could not open the store: it says nothing against the child."""


REFUSED: Final = 78
"""That of one that could not use its configuration."""

_LENGTH: Final = 4
LONGEST_REASON: Final = 2_000


def lending(settings: bytes, secret: bytes, cert: bytes = b"", key: bytes = b"") -> bytes:
    """What a supervisor sends first."""
    parts = (settings, secret, cert, key)
    return b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


class Link:
    """The child's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)

    def borrowed(self) -> tuple[bytes, bytes, bytes, bytes]:
        """(settings, passphrase, certificate, key) that are lent. Read once, before all else.

        Empty when the supervisor is gone, and so is the use of this process.
        """
        return self._part(), self._part(), self._part(), self._part()

    def refuse(self, reason: str) -> None:
        """Says why this process cannot serve, before it ends."""
        self._say(REASON + " ".join(reason.split()).encode()[:LONGEST_REASON] + b"\n")

    def ready(self) -> bool:
        """Says that this process could begin, and waits for the word. False: it never came."""
        self._say(READY)
        try:
            return self._socket.recv(1) == GO
        except OSError:
            return False

    def closed(self) -> None:
        """Says that no connection is accepted here any more."""
        self._say(CLOSED)

    def watch(self, on_loss: Callable[[], object]) -> None:
        """Calls `on_loss`, in a thread of its own, when the supervisor is gone.

        Until then that thread answers for this process.
        """

        def wait() -> None:
            try:
                while self._socket.recv(1):
                    self._say(ASKED)
            except OSError:
                pass
            on_loss()

        threading.Thread(target=wait, name="link", daemon=True).start()

    def _say(self, word: bytes) -> None:
        try:
            self._socket.sendall(word)
        except OSError:
            return  # the supervisor is gone: `watch` or `ready` notices

    def _part(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(_LENGTH), "big"))

    def _exactly(self, count: int) -> bytes:
        held = b""
        while len(held) < count:
            part = self._socket.recv(count - len(held))
            if not part:
                return b""
            held += part
        return held
