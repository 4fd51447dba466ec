"""granian as Gatebook runs it: its Rust HTTP and TLS, in a process and on a socket of ours.

What is used of granian is one class of its extension, as `granian/server/mp.py` of 2.8 uses it in
`_spawn_wsgi_worker`; the minor version is pinned for that. Its own supervisor is not: ours starts
workers, holds the sockets and changes configurations.
What it does otherwise than waitress stands in RUNBOOK, "Engines".
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import IO, Any, Final

import msgspec
from granian._futures import _new_cbscheduler
from granian.http import HTTP1Settings

from gatebook.api.engine import DRAIN_SECONDS, HEADER_BYTES, IDLE, LINGER, Engine, connections
from gatebook.api.owed import BODIES, WAITING, Owed
from gatebook.api.pipeline import source_of
from gatebook.api.problems import Problem, document
from gatebook.api.site import Site
from gatebook.store import tls
from gatebook.store.permits import Permits
from gatebook.store.settings import Settings

HEADER_MILLISECONDS: Final = 20_000
BESIDE_THREADS: Final = 4
LARGEST_FORM: Final = 65_536
"""Bytes that some routes take though `max_body` may be less."""

BACKLOG: Final = 1024
"""As the supervisor has set it: granian sets it again."""


_rust: Any = import_module("granian._granian")  # its stubs are those of an older release
_CLOSE: Final = ("connection", "close")
_NO_BANNER: Final = ("server", "")
"""granian names itself where nothing stands."""


class GranianEngine:
    """The public listener on granian; the management listener on waitress, in a thread."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        threads: int,
        fresh_id: Callable[[], str],
        on_closed: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._site = site
        self._threads = threads
        self._fresh_id = fresh_id
        self._on_closed = on_closed
        self._signal = _rust.WorkerSignal()
        self._ended = threading.Event()
        self._signal.add_cb(self._ended.set)
        self._stopping = threading.Event()
        self._beside: Engine | None = None
        self._turns = Permits(threads)
        self._owed = Owed()
        self._app: Any = None
        self._socket: socket.socket | None = None
        self._files: list[IO[bytes]] = []

    def listen(self, app: Any, listening: socket.socket) -> None:
        """See `Serving.listen`."""
        self._app, self._socket = app, listening

    def listen_beside(self, app: Any, listening: socket.socket) -> None:
        """See `Serving.listen_beside`."""
        self._beside = Engine(self._site, BESIDE_THREADS, self._fresh_id)
        self._beside.listen(app, listening)

    def run(self) -> None:
        """Serves until `stop`, then finishes what was accepted, for thirty seconds at most."""
        assert self._socket is not None  # listen comes first
        beside = None
        if self._beside is not None:
            beside = threading.Thread(target=self._beside.run, name="management", daemon=True)
            beside.start()
        loop = asyncio.new_event_loop()
        descriptor = self._socket.detach()
        worker = self._worker(descriptor)
        scheduler = _new_cbscheduler(loop, self._answer, impl_asyncio=True)  # type: ignore[no-untyped-call]
        worker.serve_mtr(scheduler, loop, self._signal)
        self._stopping.wait()
        _accept_no_more(descriptor)
        self._on_closed()
        time.sleep(LINGER)
        self._signal.set()
        self._ended.wait(DRAIN_SECONDS)
        if self._beside is not None and beside is not None:
            self._beside.stop()
            beside.join(DRAIN_SECONDS)
        loop.close()
        for file in self._files:
            file.close()

    def stop(self) -> None:
        """See `Serving.stop`."""
        self._site.stopping.set()
        self._stopping.set()

    def _worker(self, descriptor: int) -> Any:
        pair = tls.read(self._settings)
        # As files, which is all that granian takes; they live as long as this object.
        self._files = [] if pair is None else [tls.in_memory(pair.cert), tls.in_memory(pair.key)]
        cert, key = [tls.path_of(file) for file in self._files] or (None, None)
        return _rust.WSGIWorker(
            1,
            (None, _rust.SocketHolder(descriptor, False, BACKLOG)),
            None,
            1,
            self._threads,
            self._threads + BODIES + WAITING,
            IDLE,
            connections(),
            "1",
            HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES),
            None,
            None,
            cert is not None,
            cert,
            key,
            None,
            "tls1.2",
            None,
            [],
            False,
            (None, None),
        )

    def _answer(self, proto: Any, scope: dict[str, Any]) -> int:
        """One request, on a thread of granian's."""
        status, headers = 500, list[tuple[str, str]]()

        def start_response(line: str, fields: list[tuple[str, str]], _failed: Any = None) -> None:
            nonlocal status, headers
            status, headers = int(line.partition(" ")[0]), list(fields)

        refused = _refused(scope) or self._take_whole(scope)
        if refused is not None:
            status, headers, body = self._problem(refused)
        else:
            scope.update(_SURROUNDINGS)
            with self._turns:
                body = b"".join(self._app(scope, start_response))
        headers.append(_NO_BANNER)
        if self._stopping.is_set():
            headers.append(_CLOSE)
        proto.response_bytes(status, headers, body)
        return status

    def _take_whole(self, scope: dict[str, Any]) -> Problem | None:
        """Reads the body, before the request takes a turn that others wait for.

        What is too long by its own word is left to the application, which reads none of it.
        """
        largest = max(self._site.max_body, LARGEST_FORM)
        chunked = "HTTP_TRANSFER_ENCODING" in scope
        if not chunked and not 0 < int(scope.get("CONTENT_LENGTH") or 0) <= largest:
            return None
        address = source_of(scope, self._site).ip
        if not self._owed.begin(address):
            return Problem("overloaded", "Too many bodies have not arrived yet.")
        try:
            body = bytes(scope["wsgi.input"].read(largest + 1))
        finally:
            self._owed.end(address)
        scope["wsgi.input"] = io.BytesIO(body)
        if chunked:
            scope["CONTENT_LENGTH"] = str(len(body))
        return None

    def _problem(self, problem: Problem) -> tuple[int, list[tuple[str, str]], bytes]:
        said = document(problem, self._site.problem_base, self._fresh_id())
        headers = [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", said.request_id),
            _CLOSE,
        ]
        return problem.status, headers, msgspec.json.encode(said)


def _accept_no_more(descriptor: int) -> None:
    """Puts a socket that nobody connects to in the place of the one that is listened on.

    granian has no way to stop accepting and to go on with what it accepted: told to end, it drops
    whoever is in the middle of a TLS handshake. The true socket stays open, it is the supervisor's.
    """
    with socket.create_server(("127.0.0.1", 0)) as nobodys:
        nobodys.setblocking(False)
        os.dup2(nobodys.fileno(), descriptor)


_SURROUNDINGS: Final[dict[str, Any]] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


def _refused(scope: dict[str, Any]) -> Problem | None:
    """What two servers could read in two ways (RFC 9112, sections 3.2 and 6.3).

    hyper refuses most of it by itself; these it lets through.
    """
    host = scope.get("HTTP_HOST", "")
    if (not host and scope["SERVER_PROTOCOL"] == "HTTP/1.1") or "," in host:
        return Problem("invalid-request", "One Host is needed.")
    coding = scope.get("HTTP_TRANSFER_ENCODING")
    if coding is not None and coding.strip().lower() != "chunked":
        return Problem("invalid-request", "Transfer-Encoding is chunked, once.")
    if coding is not None and "CONTENT_LENGTH" in scope:
        return Problem(
            "invalid-request", "Content-Length and Transfer-Encoding exclude each other."
        )
    return None
