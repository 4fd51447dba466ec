"""A worker: one process that answers requests on sockets it was given.

Run by the supervisor as `python -m gatebook.api.worker`, never by hand.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys

from gatebook.api import logs
from gatebook.api.app import create_app
from gatebook.api.child_process import Lost, run
from gatebook.api.engines import engine_of
from gatebook.api.link import REFUSED, Link
from gatebook.api.metrics import Metrics
from gatebook.api.routes import MANAGEMENT, routes
from gatebook.api.site import site_of
from gatebook.api.tracing import tracing
from gatebook.store import cores, tls
from gatebook.store.house import House

_log = logging.getLogger("gatebook.worker")


def main(argv: list[str]) -> int:
    """Serves until it is asked to end, or the supervisor is gone. Returns the exit code."""
    options = _options(argv)
    cores.settle(int(options.name))
    logs.configure()
    link = Link(options.link)
    return run(link, _log, lambda house: _serve(house, link, options))


def _serve(house: House, link: Link, options: argparse.Namespace) -> int:
    settings = house.settings
    threads = settings.worker_threads
    site = site_of(
        settings,
        threads=threads,
        address=options.address,
        worker=options.name,
        certificate=tls.load(settings),
    )
    metrics = Metrics(house, site.certificate)
    traces = tracing()
    engine = engine_of(settings, site, lambda: str(house.ids.ordered()), link.closed)
    served = create_app(house, site, routes(settings), metrics, traces)
    engine.listen(served, _socket(options.socket))
    if options.management is not None:
        open_app = create_app(house, site, MANAGEMENT, metrics)
        engine.listen_beside(open_app, _socket(options.management))
    lost = Lost(engine.stop, _log)
    house.masters.on_lost = lost
    signal.signal(signal.SIGTERM, lambda _number, _frame: engine.stop())
    if link.ready():
        link.watch(engine.stop)
        engine.run()
    traces.close()
    return REFUSED if lost.reason else 0


def _socket(descriptor: int) -> socket.socket:
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    return listening


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gatebook.api.worker")
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--management", type=int)
    parser.add_argument("--link", type=int, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
