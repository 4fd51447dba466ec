"""The servers that can carry the application: waitress, or granian where it is installed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from gatebook.api.engine import Engine
from gatebook.api.site import Site
from gatebook.store.settings import ConfigurationError, Settings


class Serving(Protocol):
    """What a worker needs of an engine."""

    def listen(self, app: Any, listening: socket.socket) -> None:
        """Serves an application on a socket that is bound already, once it runs."""
        ...

    def listen_beside(self, app: Any, listening: socket.socket) -> None:
        """The same for the management listener, which never has TLS."""
        ...

    def run(self) -> None:
        """Serves until `stop`, then finishes what was accepted."""
        ...

    def stop(self) -> None:
        """Asks `run` to end. May be called by a signal handler, and more than once."""
        ...


def check_engine(settings: Settings) -> None:
    """Raises ConfigurationError when the engine is not installed."""
    if settings.server.engine == "granian" and find_spec("granian") is None:
        raise ConfigurationError(
            "[server] engine granian is not installed: pip install 'gatebook[granian]'"
        )


def engine_of(
    settings: Settings,
    site: Site,
    fresh_id: Callable[[], str],
    on_closed: Callable[[], object],
) -> Serving:
    """The engine that the settings name; `on_closed` is called once it accepts no more."""
    threads = settings.worker_threads
    if settings.server.engine == "granian":
        from gatebook.api.granian_engine import GranianEngine

        return GranianEngine(settings, site, threads, fresh_id, on_closed)
    return Engine(site, threads, fresh_id, on_closed)
