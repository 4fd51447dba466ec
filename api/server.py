"""`gatebook serve`: checks everything, binds, then hands over to the supervisor."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Final

from eventsourcing.persistence import PersistenceError

from gatebook.api import logs
from gatebook.api.engines import check_engine
from gatebook.api.metrics import share
from gatebook.api.notify import Notices
from gatebook.api.reload import Reloads, address, record_certificate
from gatebook.api.supervisor import Supervisor
from gatebook.api.tracing import tracing
from gatebook.projections.errors import FoldFailed
from gatebook.store import tls
from gatebook.store.house import open_house
from gatebook.store.opening import refusal
from gatebook.store.setting_checks import split_address
from gatebook.store.settings import ConfigurationError, Settings, StoreAway

REFUSED: Final = 78
UNAVAILABLE: Final = 3
"""The store is away: whoever starts services, starts this one again."""

BACKLOG: Final = 1024
DESCRIPTORS: Final = 65_536
"""What is asked for, as far as the hard limit goes: a shell's soft limit is often 1024."""

BREAK_GLASS_IS_ON: Final = (
    "[breakglass] enabled = true: an emergency password opens a session. Switch it off when the "
    "emergency is over."
)
LOOPBACK_IS_ALLOWED: Final = (
    "[outbound] allow_loopback_http = true: identity providers on this machine are spoken with "
    "over plain HTTP. This is for development only."
)

_log = logging.getLogger("gatebook.server")


def serve(config: str | Path) -> int:
    """Serves until SIGTERM. Returns the exit code.

    Whatever stands in the way of serving is one line on standard error and code 78, or 3 when the
    store is away, before anything listens. Prints one line with the address when the first worker
    accepts.
    """
    _raise_descriptors()
    os.umask(0o077)  # its children have it from here, whichever library makes a file
    try:
        settings = Settings.load(config)
        pair = _prepare(settings)
        listening = _bind("listen", settings.server.listen)
    except ConfigurationError as error:
        return _refuse(error)
    management: socket.socket | None = None
    if settings.server.management_listen:
        try:
            management = _bind("management_listen", settings.server.management_listen)
        except ConfigurationError as error:
            listening.close()
            return _refuse(error)
    logs.configure()
    share(settings.path("slots") / "metrics")
    if settings.breakglass.enabled:
        _log.warning("breakglass", extra={"fields": {"reason": BREAK_GLASS_IS_ON}})
    if settings.outbound.allow_loopback_http:
        _log.warning("outbound", extra={"fields": {"reason": LOOPBACK_IS_ALLOWED}})
    notices = Notices()
    reloads = Reloads(Path(config).resolve(), settings, listening, management, pair)
    try:
        serving = f"gatebook: serving on {settings.server.scheme}://{address(listening)}\n"
        return Supervisor(reloads, notices).run(lambda: _tell(serving))
    finally:
        reloads.close()
        listening.close()
        if management is not None:
            management.close()


def _prepare(settings: Settings) -> tls.Pair | None:
    """Opens all there is, once, and brings it level. Raises ConfigurationError.

    Closed again at once: the children open their own. Returns the pair that TLS is spoken with.
    """
    try:
        tracing().close()
    except RuntimeError as error:
        raise ConfigurationError(str(error)) from error
    check_engine(settings)
    pair = tls.read(settings)
    house = open_house(settings)
    try:
        house.prepare()
        record_certificate(house, pair)
    except (PersistenceError, FoldFailed, OSError) as error:
        raise refusal(error, "the store cannot be made ready: ") from error
    finally:
        house.close()
    return pair


def bound(key: str, listen: str) -> socket.socket:
    """A socket at an address, which nobody reaches yet. Raises ConfigurationError naming `key`."""
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, TypeError, UnicodeError) as error:
        listening.close()
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"[server] {key} {listen!r}: {said}") from error
    return listening


def _bind(key: str, listen: str) -> socket.socket:
    listening = bound(key, listen)
    try:
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"[server] {key} {listen!r}: {error.strerror}") from error
    return listening


def _raise_descriptors() -> None:
    """Each connection is one, and a worker that has none left answers nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _refuse(error: ConfigurationError) -> int:
    line = " ".join(str(error).split())
    sys.stderr.write(f"gatebook: {line}\n")
    return UNAVAILABLE if isinstance(error, StoreAway) else REFUSED
