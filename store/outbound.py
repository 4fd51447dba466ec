"""The one client that Gatebook sends requests to others with.

A host is resolved once, every address it has is judged, and the connection goes to the very
address that was judged: a name that answers differently the second time changes nothing. Sizes and
times are bounded as a whole, not per read. Nothing is kept between requests.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

import httpcore
import msgspec

from gatebook.store.addresses import Address, refused
from gatebook.store.setting_sections import Outbound as OutboundSettings

MOST_REDIRECTS: Final = 3
MOST_AT_ONCE: Final = 8
PATIENCE: Final = 2.0
"""Seconds that a request waits for a place among those under way."""

CHUNK: Final = 16_384

Resolve = Callable[[str, int], Sequence[Address]]


class OutboundRefused(Exception):
    """A request that is not sent, because of where it would go. The message may be shown."""


class OutboundFailed(Exception):
    """A request that was sent and got no usable answer. The message may be shown."""


class Fetched(msgspec.Struct, frozen=True):
    """An answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def resolve(host: str, port: int) -> list[Address]:
    """Every address of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]


class Outbound:
    """Sends GET and POST. One instance serves any number of threads."""

    def __init__(
        self,
        settings: OutboundSettings,
        *,
        resolver: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
        most: int = MOST_AT_ONCE,
    ) -> None:
        """`most` requests are under way at once, and three quarters as many wait for a place.

        Whoever does not answer holds up no more threads than those: anybody can have a provider
        asked, by a logout token that says it is from there.
        """
        self._room = threading.BoundedSemaphore(most)
        self._waiting = threading.BoundedSemaphore(max(1, most * 3 // 4))
        self._settings = settings
        self._resolver = resolver
        self._trust = trust or ssl.create_default_context()

    def check(self, url: str) -> None:
        """Raises OutboundRefused for a URL that no request would be sent to, as things are now."""
        parts = self._parsed(url)
        with self._place():
            self._addresses(parts)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """The answer to a GET. Redirects are followed within one origin.

        Raises OutboundRefused and OutboundFailed.
        """
        deadline = self._deadline()
        for _ in range(MOST_REDIRECTS + 1):
            with self._place():
                fetched = self._send("GET", url, headers or {}, None, deadline)
            location = fetched.headers.get("location")
            if fetched.status not in (301, 302, 303, 307, 308) or location is None:
                return fetched
            url = self._same_origin(url, location)
        raise OutboundFailed("The answer redirects again and again.")

    def post(
        self, url: str, form: Iterable[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """The answer to a form that was posted. No redirect is followed: it holds secrets."""
        body = urlencode(list(form)).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        with self._place():
            return self._send("POST", url, sent, body, self._deadline())

    # --- details

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False) and not self._waited():
            raise OutboundFailed("Too many requests to others are under way.")
        try:
            yield
        finally:
            self._room.release()

    def _waited(self) -> bool:
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._room.acquire(timeout=PATIENCE)
        finally:
            self._waiting.release()

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.timeout / 1_000_000

    def _parsed(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise OutboundRefused(f"{url!r} is no URL.") from error
        if not url.isascii() or any(character <= " " or character == "\\" for character in url):
            raise OutboundRefused("A URL is plain ASCII, without spaces or backslashes.")
        if not parts.hostname or parts.username is not None or parts.fragment:
            raise OutboundRefused("A URL has a host, and neither a user name nor a fragment.")
        if parts.scheme == "https":
            return parts
        if parts.scheme != "http" or not self._settings.allow_loopback_http:
            raise OutboundRefused("Only https is spoken with others.")
        return parts

    def _addresses(self, parts: SplitResult) -> list[Address]:
        host, port = str(parts.hostname), _port(parts)
        try:
            found = list(self._resolver(host, port))
        except (OSError, UnicodeError) as error:
            raise OutboundFailed(f"{host} cannot be resolved.") from error
        if not found:
            raise OutboundFailed(f"{host} has no address.")
        loopback = self._settings.allow_loopback_http
        for address in found:
            why = refused(
                address, allow_private=self._settings.allow_private, allow_loopback=loopback
            )
            if why is not None:
                raise OutboundRefused(f"{host} is not reached: {why}.")
            if parts.scheme == "http" and not address.is_loopback:
                raise OutboundRefused(f"{host} is not this machine: only https is spoken with it.")
        return found

    def _same_origin(self, url: str, location: str) -> str:
        before, after = urlsplit(url), urlsplit(location)
        if not after.scheme and not after.netloc and location.startswith("/"):
            return before._replace(path=after.path, query=after.query).geturl()
        there = self._parsed(location)
        if (there.scheme, there.hostname, _port(there)) != (
            before.scheme,
            before.hostname,
            _port(before),
        ):
            raise OutboundRefused("The answer redirects to another host or scheme.")
        return location

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
    ) -> Fetched:
        parts = self._parsed(url)
        backend = _Pinned(self._addresses(parts), deadline)
        sent = {"Host": parts.netloc, "Accept-Encoding": "identity", **headers}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._trust, max_keepalive_connections=0, network_backend=backend
                ) as pool,
                pool.stream(method, url, headers=list(sent.items()), content=body) as response,
            ):
                return self._read(response)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise OutboundFailed(f"{parts.hostname} did not answer in time.") from error
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
        ) as error:
            reason = str(error) or type(error).__name__
            raise OutboundFailed(f"{parts.hostname} gave no answer: {reason}") from error

    def _read(self, response: httpcore.Response) -> Fetched:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        if headers.get("content-encoding", "identity") != "identity":
            raise OutboundFailed("The answer is compressed, which was not asked for.")
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > self._settings.max_bytes:
                raise OutboundFailed(f"The answer is longer than {self._settings.max_bytes} bytes.")
        return Fetched(response.status, headers, bytes(body))


class _Pinned(httpcore.NetworkBackend):
    """Connects to addresses that were judged, whatever the name says by now."""

    def __init__(self, addresses: Sequence[Address], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - resolved already
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        last: Exception | None = None
        for address in self._addresses:
            try:
                stream = self._inner.connect_tcp(
                    str(address), port, _left(self._deadline), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                return _Bounded(stream, self._deadline)
        raise last or httpcore.ConnectError("there is no address")


class _Bounded(httpcore.NetworkStream):
    """A stream whose reads and writes end together at one instant, however slow each is."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._inner.read(min(max_bytes, CHUNK), _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        tls = self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Bounded(tls, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is up")
    return left


def _port(parts: SplitResult) -> int:
    return parts.port or {"https": 443, "http": 80}[parts.scheme]
