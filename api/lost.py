"""What a child does when the master key was rotated past it: it ends, and is started anew."""

from __future__ import annotations

import logging
from collections.abc import Callable

_log = logging.getLogger("gatebook.child")


class Lost:
    """Told at most once. `reason` is empty until then."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self.reason = ""
        self._stop = stop

    def __call__(self, reason: str) -> None:
        """Ends the process, which another one follows that opens the keyring anew."""
        self.reason = reason
        _log.error("refused", extra={"fields": {"reason": reason}})
        self._stop()
