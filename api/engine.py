"""waitress, as Gatebook runs it: its framing made strict, its waiting bounded, its end graceful."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest

from gatebook.api.problems import PROBLEMS, Problem, document
from gatebook.api.site import Site

CONNECTIONS: Final = 1000
HEADER_BYTES: Final = 16 * 1024
IDLE: Final = 60
"""Seconds that a connection may say nothing."""

REQUEST_SECONDS: Final = 20.0
"""From a request's first byte to its last, however it drips."""

DRAIN_SECONDS: Final = 30.0
LINGER: Final = 2.0
"""Seconds that a connection without a request stays open while the worker ends."""

SEND_BYTES: Final = 18_000
"""Less is held back until the answer is whole: one write to the socket instead of two."""


TWO_LENGTHS: Final = "Content-Length and Transfer-Encoding exclude each other"
CHUNKED_ONCE: Final = "Transfer-Encoding is chunked, once"
NO_CODING: Final = "HTTP/1.0 has no Transfer-Encoding"
ONE_HOST: Final = "One Host is needed"
OURS: Final = (TWO_LENGTHS, CHUNKED_ONCE, NO_CODING, ONE_HOST)
_CODING: Final = re.compile(rb"^transfer-encoding[ \t]*:([^\r\n]*)", re.I | re.M)


def connections() -> int:
    """How many a worker takes in: at most half of its descriptors, or the store would have none."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else min(CONNECTIONS, soft // 2)


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Refuses what two servers could read in two ways (RFC 9112, sections 3.2 and 6.3)."""

    def parse_header(self, header_plus: bytes) -> None:
        """Parses the header. Raises ParsingError."""
        codings = _CODING.findall(header_plus)  # asked first: waitress takes them away
        super().parse_header(header_plus)
        if codings and [one.strip().lower() for one in codings] != [b"chunked"]:
            raise ParsingError(CHUNKED_ONCE)
        if self.version not in ("1.0", "1.1"):
            self.error = Unspoken("HTTP/1.1 is spoken here")
            self.connection_close = True
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError(TWO_LENGTHS)
        if self.version == "1.0" and "TRANSFER_ENCODING" in self.headers:
            raise ParsingError(NO_CODING)
        host = self.headers.get("HOST")
        if (host is None and self.version == "1.1") or (host is not None and "," in host):
            raise ParsingError(ONE_HOST)


class Unspoken(BadRequest):  # type: ignore[misc]  # as above
    """A version that is not spoken here."""

    code = 505


class TooSlow(BadRequest):  # type: ignore[misc]  # as above
    """The request did not arrive in time."""

    code = 408


class ProblemTask(ErrorTask):  # type: ignore[misc]  # as above
    """What waitress refuses by itself, told as every other problem."""

    def execute(self) -> None:
        """Writes the answer and closes the connection."""
        error, server = self.request.error, self.channel.server
        slug = next((s for s, row in PROBLEMS.items() if row[0] == error.code), "invalid-request")
        # Never in waitress' own words: they repeat the line that was sent.
        detail = next((one for one in OURS if one in str(error.body)), PROBLEMS[slug][1])
        problem = Problem(slug, f"{detail}.")
        said = document(problem, server.site.problem_base, server.fresh_id())
        body = msgspec.json.encode(said)
        self.status = f"{problem.status} {PROBLEMS[slug][1]}"
        self.response_headers.extend(
            [
                ("Content-Type", "application/problem+json"),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Request-Id", said.request_id),
            ]
        )
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Task(WSGITask):  # type: ignore[misc]  # as above
    """A request for the application. While the worker ends, its answer ends the connection."""

    def build_response_header(self) -> Any:
        """See waitress."""
        if self.channel.server.is_draining:
            self.set_close_on_finish()
        return super().build_response_header()


class Channel(HTTPChannel):  # type: ignore[misc]  # as above
    """A connection. `begun` is when the request that is still arriving began, if one is."""

    parser_class = Parser
    error_task_class = ProblemTask
    task_class = Task
    request: Any = None
    begun: float | None = None

    def received(self, data: bytes) -> Any:
        """Takes bytes in."""
        if self.request is None:
            self.begun = time.monotonic()
        taken = super().received(data)
        if self.request is None:
            self.begun = None
        return taken

    def writable(self) -> bool:
        """Whether there is something to send now.

        waitress asks to write as soon as there is anything to send, and then does not send it
        while a request is worked on: between two writes of a slow answer its loop would spin.
        """
        if self.will_close or self.close_when_flushed:
            return True
        held_back = bool(self.requests) and self.total_outbufs_len < self.adj.send_bytes
        return bool(self.total_outbufs_len) and not held_back

    def give_up(self) -> None:
        """Ends a request that does not arrive, with an answer if nothing is under way."""
        with self.requests_lock:
            request = self.request
            if request is None:
                return
            self.request = self.begun = None
            if self.requests:
                self.will_close = True
                return
            request.error = TooSlow(f"A request arrives within {REQUEST_SECONDS:.0f} seconds")
            self.requests.append(request)
            self.server.add_task(self)

    @property
    def idle(self) -> bool:
        """Whether nothing is owed to the client."""
        return not (self.requests or self.request is not None or self.total_outbufs_len)


class Listener(TcpWSGIServer):  # type: ignore[misc]  # as above
    """One listening socket."""

    channel_class = Channel
    site: Site
    fresh_id: Any
    is_draining = False

    def maintenance(self, now: float) -> None:
        """Closes what is idle, and what arrives too slowly."""
        super().maintenance(now)
        cutoff = time.monotonic() - REQUEST_SECONDS
        for channel in list(self.active_channels.values()):
            if channel.begun is not None and channel.begun < cutoff:
                channel.give_up()


class Engine:
    """All listening sockets of a worker, on one loop and one set of threads."""

    def __init__(
        self,
        site: Site,
        threads: int,
        fresh_id: Any,
        on_closed: Callable[[], object] = lambda: None,
    ) -> None:
        """`fresh_id()` names a request that was refused before the application saw it.

        `on_closed` is called once no connection is accepted any more.
        """
        self._on_closed = on_closed
        self._site = site
        self._fresh_id = fresh_id
        self._map: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(threads)
        self._listeners: list[Listener] = []
        self._stop = threading.Event()

    def listen(self, app: Any, listening: socket.socket) -> None:
        """Serves an application on a socket that is bound already."""
        adjustments = Adjustments(
            sockets=[listening],
            ident="",
            connection_limit=connections(),
            channel_timeout=IDLE,
            cleanup_interval=1,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=self._site.max_body + 1,
            clear_untrusted_proxy_headers=not self._site.trusted_proxies,
            asyncore_use_poll=True,
        )
        # Not through the constructor, which warns that the setting will go; waitress is pinned.
        adjustments.send_bytes = SEND_BYTES
        family, kind, protocol = listening.family, listening.type, listening.proto
        listener = Listener(
            app,
            self._map,
            True,
            listening,
            dispatcher=self._dispatcher,
            adj=adjustments,
            sockinfo=(family, kind, protocol, listening.getsockname()),
            bind_socket=False,
        )
        listener.site, listener.fresh_id = self._site, self._fresh_id
        self._listeners.append(listener)

    def listen_beside(self, app: Any, listening: socket.socket) -> None:
        """The same for the management listener."""
        self.listen(app, listening)

    def run(self) -> None:
        """Serves until `stop`, then finishes what was accepted, for thirty seconds at most."""
        while not self._stop.is_set():
            self._turn(1.0)
        self._drain()

    def stop(self) -> None:
        """Asks the loop to end. May be called by a signal handler."""
        self._site.stopping.set()
        self._stop.set()
        for listener in self._listeners:
            listener.pull_trigger()

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)

    def _drain(self) -> None:
        """Stops accepting once nobody stands in the queue, then waits for the last answer.

        A client that keeps its connection may send just now: it is answered, and told that the
        connection ends. Only one that stays silent is closed without a word, after `LINGER`.
        """
        for listener in self._listeners:
            listener.is_draining = True
        for _round in range(8):
            self._turn(0.0)
        for listener in self._listeners:
            listener.accepting = False
            listener.del_channel(self._map)
            listener.socket.close()
        self._on_closed()
        deadline = time.monotonic() + DRAIN_SECONDS
        silent = time.monotonic() + LINGER
        while time.monotonic() < deadline:
            channels = [c for one in self._listeners for c in one.active_channels.values()]
            if not channels:
                break
            for channel in channels:
                if channel.idle and time.monotonic() > silent:
                    channel.will_close = True
            self._turn(0.05)
        self._dispatcher.shutdown()
        wasyncore.close_all(self._map)
