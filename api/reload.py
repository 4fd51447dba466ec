"""What the service is configured by, and how that changes: read whole, held against what may not.

The supervisor has one of these. It opens the store only to check and to record.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventsourcing.persistence import PersistenceError

from gatebook.api.child import Generation, Place
from gatebook.api.engines import check_engine
from gatebook.api.link import lending
from gatebook.domain.deployment import (
    STREAM_ID,
    CertificateLoaded,
    ConfigurationReloaded,
    ConfigurationReloadRefused,
)
from gatebook.domain.errors import Refusal
from gatebook.domain.event import Event
from gatebook.projections.errors import FoldFailed
from gatebook.store import tls
from gatebook.store.file_lock import FileLock
from gatebook.store.house import House, open_house, system
from gatebook.store.master_key import taken
from gatebook.store.settings import ConfigurationError, Settings

FIXED: Final = ("server.listen", "server.management_listen", "store.url")
"""What the supervisor has bound or the data depend on: a restart changes it."""

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the certificate's files."""

AGAIN_EVERY: Final = 3600.0
"""Seconds until a certificate that was refused is tried again: the store may have been away."""

LONGEST_REASON: Final = 500

_log = logging.getLogger("gatebook.server")


class Reloads:
    """The configuration that counts, and the one that is being tried."""

    def __init__(
        self,
        config: Path,
        settings: Settings,
        listening: socket.socket,
        management: socket.socket | None,
        pair: tls.Pair | None,
    ) -> None:
        self._config = config
        self._settings = settings
        self._pair = pair
        self._tried: tuple[Settings, tls.Pair | None] | None = None
        self._listening = listening
        self._management = management
        self._seen = self._loaded = _stamp(pair)
        self._look_at = self._again_at = 0.0
        self._outcomes = Outcomes(settings)

    def generation(self) -> Generation:
        """See `Configured.generation`."""
        return self._generation(self._settings, self._pair)

    def wants_reload(self) -> bool:
        """Whether the certificate's files are others than before; told once, then every hour."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY
        seen = tls.stamp(self._settings)
        is_due = bool(seen) and seen != self._loaded and now >= self._again_at
        if seen == self._seen and not is_due:
            return False
        self._seen, self._again_at = seen, now + AGAIN_EVERY
        return True

    def read(self) -> Generation:
        """See `Configured.read`. Everything is opened once, and closed again."""
        settings = Settings.load(self._config)
        changed = set(settings.differences(self._settings))
        fixed = sorted(changed.intersection(FIXED))
        if fixed:
            raise ConfigurationError(f"{', '.join(fixed)} cannot change while it runs: restart")
        check_engine(settings)
        pair = tls.read(settings)
        with _opened(settings) as house:
            house.check()
        self._tried = settings, pair
        return self._generation(settings, pair)

    def accept(self) -> None:
        """See `Configured.accept`."""
        assert self._tried is not None  # read comes first
        (tried, pair), former = self._tried, self._settings
        with _opened(tried) as house:
            house.prepare()
            event = ConfigurationReloaded(
                former=former.fingerprint(house.keyring.derive),
                current=tried.fingerprint(house.keyring.derive),
                changed=tuple(sorted(tried.differences(former))),
            )
            record(house, event)
            record_certificate(house, pair)
        self._settings, self._pair, self._tried = tried, pair, None
        self._seen = self._loaded = _stamp(pair)
        _log.info("reloaded", extra={"fields": {"changed": list(event.changed)}})
        self._outcomes.write("reloaded", "")

    def refuse(self, reason: str) -> None:
        """See `Configured.refuse`. A store that cannot be reached does not keep it from the log."""
        self._tried = None
        try:
            with _opened(self._settings) as house:
                record(house, ConfigurationReloadRefused(reason=reason[:LONGEST_REASON]))
        except ConfigurationError as error:
            _log.error("unrecorded", extra={"fields": {"reason": str(error)}})
        self._outcomes.write("refused", reason)

    def close(self) -> None:
        """No server runs here any more."""
        self._outcomes.close()

    def _generation(self, settings: Settings, pair: tls.Pair | None) -> Generation:
        sockets = [one for one in (self._listening, self._management) if one is not None]
        descriptors = [one.fileno() for one in sockets]
        common = ["--address", address(self._listening), "--socket", str(descriptors[0])]
        if self._management is not None:
            common += ["--management", str(descriptors[1])]
        common_lent = settings.dumped(), taken(settings.master_key.passphrase_env)
        lent = lending(*common_lent, *((pair.cert, pair.key) if pair is not None else ()))
        workers = [
            Place(
                f"worker {number}",
                [*_python("worker"), "--name", str(number), *common],
                descriptors,
                lent,
            )
            for number in range(settings.server.workers or os.cpu_count() or 1)
        ]
        follower = Place("the follower", _python("follower"), [], lending(*common_lent))
        return Generation(workers, follower)


class Outcomes:
    """What became of reloads, for the command that asked: two small files in `slots`."""

    def __init__(self, settings: Settings) -> None:
        slots = settings.path("slots")
        self._count = 0
        self._file: Path | None = None
        self._lock = FileLock(str(slots / "supervisor.lock"))
        try:
            slots.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Another server on these files can be reloaded by SIGHUP, and has no file of its own.
            if self._lock.acquire(0):
                self._file = slots / "reload.json"
                (slots / "supervisor.pid").write_text(f"{os.getpid()}\n")
                self._file.unlink(missing_ok=True)
        except OSError as error:
            _unwritten(error)

    def write(self, outcome: str, reason: str) -> None:
        """Replaces the last one."""
        self._count += 1
        if self._file is None:
            return
        told = {"count": self._count, "outcome": outcome, "reason": reason}
        unfinished = self._file.with_suffix(".part")
        try:
            unfinished.write_text(json.dumps(told))
            unfinished.replace(self._file)
        except OSError as error:
            _unwritten(error)

    def close(self) -> None:
        """Lets go of the lock."""
        self._lock.close()


def _unwritten(error: OSError) -> None:
    """These files are a courtesy: a full disk must not end the service that it spared so far."""
    _log.error("unwritten", extra={"fields": {"reason": str(error)}})


def record(house: House, event: Event) -> None:
    """Records what happened to the deployment. Raises ConfigurationError when it cannot be."""
    try:
        house.app.record_one(event, STREAM_ID, system())
    except (PersistenceError, Refusal) as error:
        raise ConfigurationError(f"it cannot be recorded: {error}") from error


def record_certificate(house: House, pair: tls.Pair | None) -> None:
    """Records which certificate is used from here on, unless it was the last one as well."""
    if pair is None:
        return
    certificate = pair.certificate
    event = CertificateLoaded(fingerprint=certificate.fingerprint, expires_at=certificate.not_after)
    for recorded in reversed(house.store.last(STREAM_ID, 200)):
        if isinstance(recorded.event, CertificateLoaded):
            if recorded.event == event:
                return
            break
    record(house, event)


def _stamp(pair: tls.Pair | None) -> tls.Stamp:
    return () if pair is None else pair.stamp


def address(listening: socket.socket) -> str:
    """Where a socket listens."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def _opened(settings: Settings) -> Iterator[House]:
    house = open_house(settings)
    try:
        yield house
    except (PersistenceError, FoldFailed, OSError) as error:
        raise ConfigurationError(f"the store cannot be made ready: {error}") from error
    finally:
        house.close()


def _python(module: str) -> list[str]:
    # -P: whoever may write in the working directory must not have his modules imported.
    return [sys.executable, "-P", "-m", f"gatebook.api.{module}"]
