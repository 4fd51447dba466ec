"""SIGHUP in a child: the configuration is read again, and taken over or refused as a whole."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable

from eventsourcing.persistence import PersistenceError

from gatebook.store.house import House
from gatebook.store.settings import ConfigurationError, Settings


class Reloads:
    """Waits for SIGHUP, and for the news that this process has lost the master key."""

    def __init__(self, house: House, config: str, log: logging.Logger) -> None:
        self.lost = False
        self._house = house
        self._config = config
        self._log = log
        # The one queue that a signal handler may use at any time.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def listen(self) -> None:
        """From here on SIGHUP counts; one that came since the process began counts now."""
        threading.Thread(target=self._run, name="reload", daemon=True).start()
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._asked.put(None))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def ending(self, stop: Callable[[], object]) -> Callable[[str], None]:
        """What to do when the master key is lost: end, so that another process opens it anew."""

        def on_lost(reason: str) -> None:
            self.lost = True
            self._log.error("refused", extra={"fields": {"reason": reason}})
            stop()

        return on_lost

    def reload(self) -> bool:
        """Reads the configuration again. Says in the log what came of it, and whether it counts."""
        try:
            self._house.reload(Settings.load(self._config))
        except (ConfigurationError, PersistenceError) as error:
            self._log.error("reload refused", extra={"fields": {"reason": str(error)}})
            return False
        master = self._house.masters.id.hex()
        self._log.info("reloaded", extra={"fields": {"master_key": master}})
        return True

    def _run(self) -> None:
        while True:
            self._asked.get()
            self.reload()
