"""What every child does first and last: it borrows the settings and opens the house with them."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from eventsourcing.persistence import PersistenceError

from gatebook.api.link import REFUSED, STORE_GONE, Link
from gatebook.store import tls
from gatebook.store.house import House, open_house
from gatebook.store.master_key import lend
from gatebook.store.settings import ConfigurationError, Settings


class Lost:
    """What a child does when the master key was rotated past it: it ends, and is started anew.

    Told at most once. `reason` is empty until then.
    """

    def __init__(self, stop: Callable[[], object], log: logging.Logger) -> None:
        self.reason = ""
        self._stop = stop
        self._log = log

    def __call__(self, reason: str) -> None:
        """Ends the process, which another one follows that opens the keyring anew."""
        self.reason = reason
        self._log.error("refused", extra={"fields": {"reason": reason}})
        self._stop()


def run(link: Link, log: logging.Logger, work: Callable[[House], int]) -> int:
    """Opens the house with what the supervisor lends, works in it, closes it.

    Returns the exit code: that of `work`, or why it could not begin.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor is asked, and asks its children
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    dumped, passphrase, cert, key = link.borrowed()
    if not dumped:
        return 0
    settings = Settings.restored(dumped)
    lend(settings.master_key.passphrase_env, passphrase)
    tls.lend(cert, key)
    try:
        house = open_house(settings)
        try:
            return work(house)
        finally:
            house.close()
    except (ConfigurationError, PersistenceError) as error:
        link.refuse(str(error))
        log.error("refused", extra={"fields": {"reason": str(error)}})
        gone = isinstance(error, PersistenceError) or isinstance(error.__cause__, PersistenceError)
        return STORE_GONE if gone else REFUSED
