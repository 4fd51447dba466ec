"""The guarded client: where it goes, where it does not, and how long it stays."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from gatebook.store.addresses import refused
from gatebook.store.outbound import Outbound, OutboundFailed, OutboundRefused
from gatebook.store.setting_sections import Duration, Size
from gatebook.store.setting_sections import Outbound as Settings

LOOPBACK = Settings(allow_loopback_http=True, timeout=Duration(1_500_000), max_bytes=Size(5_000))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "192.0.2.7",
        "198.18.0.1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
    ],
)
def test_never_reached(address: str) -> None:
    """Loopback, link-local, reserved and multicast addresses, in every spelling."""
    assert refused(ip_address(address), allow_private=True, allow_loopback=False)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
        "fd12::1",
        "::ffff:10.1.1.1",
    ],
)
def test_private_where_allowed(address: str) -> None:
    """Private networks, carrier-grade NAT and ULA are reached only where that is configured."""
    assert refused(ip_address(address), allow_private=False, allow_loopback=True)
    assert refused(ip_address(address), allow_private=True, allow_loopback=False) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "172.32.0.1", "100.128.0.1"])
def test_public_addresses_are_reached(address: str) -> None:
    """Everything else is the internet."""
    assert refused(ip_address(address), allow_private=False, allow_loopback=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://",
        "https://user@example.org/",
        "https://example.org/#x",
        "https://example.org\\@evil.example/",
        "https://exa mple.org/",
        "https://example.org:99999/",
        "https://exämple.org/",
        "//example.org/",
        "",
    ],
)
def test_urls_that_are_not_asked(url: str) -> None:
    """Only https, a host, and nothing that two readers would read differently."""
    client = Outbound(Settings(), resolver=lambda _host, _port: [ip_address("8.8.8.8")])
    with pytest.raises(OutboundRefused):
        client.get(url)


def test_every_address_of_a_name_is_judged() -> None:
    """One bad address among good ones is enough to refuse the name."""
    answers = [ip_address("8.8.8.8"), ip_address("127.0.0.1")]
    client = Outbound(Settings(), resolver=lambda _host, _port: answers)
    with pytest.raises(OutboundRefused, match=r"127\.0\.0\.1"):
        client.check("https://rebound.example/")


def test_plain_http_stays_on_this_machine() -> None:
    """allow_loopback_http allows http to loopback, and to nothing else."""
    client = Outbound(LOOPBACK, resolver=lambda _host, _port: [ip_address("8.8.8.8")])
    with pytest.raises(OutboundRefused, match="only https"):
        client.get("http://example.org/")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by its path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        paths: dict[str, Callable[[], None]] = {
            "/hop": lambda: self._redirect("/plain"),
            "/loop": lambda: self._redirect("/loop"),
            "/away": lambda: self._redirect("http://localhost:1/plain"),
            "/tls": lambda: self._redirect("https://127.0.0.1/plain"),
            "/large": lambda: self._say(b"x" * 6_000),
            "/gzip": lambda: self._say(b"x", ("Content-Encoding", "gzip")),
            "/drip": self._drip,
            "/endless": self._endless,
        }
        paths.get(self.path, lambda: self._say(self.headers["Host"].encode()))()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/hop":
            self._redirect("/plain")
        else:
            self._say(body)

    def _say(self, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            try:
                self.wfile.write(b"X-Slow: 1\r\n")
            except OSError:
                return
            time.sleep(0.1)

    def _endless(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(1_000):
            try:
                self.wfile.write(b"y" * 1_000)
            except OSError:
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A server on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_answer(base: str) -> None:
    """Status, headers in lower case, the body; the Host header is the URL's."""
    fetched = Outbound(LOOPBACK).get(base + "/plain")
    assert (fetched.status, fetched.body.decode()) == (200, base.removeprefix("http://"))
    assert fetched.headers["content-length"] == str(len(fetched.body))


def test_the_name_goes_out_and_the_judged_address_is_used(base: str) -> None:
    """The connection goes to the address that was judged, not to what the name says later."""
    asked: list[str] = []

    def resolver(host: str, _port: int) -> list[object]:
        asked.append(host)
        return [ip_address("127.0.0.1" if len(asked) == 1 else "10.9.9.9")]

    url = base.replace("127.0.0.1", "provider.example")
    fetched = Outbound(LOOPBACK, resolver=resolver).get(url + "/plain")  # type: ignore[arg-type] # addresses
    assert fetched.body.decode().startswith("provider.example:")
    assert asked == ["provider.example"]


def test_redirects_stay_at_home(base: str) -> None:
    """Within one origin a redirect is followed, a few times; never elsewhere, never a POST's."""
    client = Outbound(LOOPBACK)
    assert client.get(base + "/hop").status == 200
    with pytest.raises(OutboundFailed, match="again and again"):
        client.get(base + "/loop")
    for path in ("/away", "/tls"):
        with pytest.raises(OutboundRefused, match="another host or scheme"):
            client.get(base + path)
    assert client.post(base + "/hop", [("a", "b")]).status == 302


def test_a_form_is_posted(base: str) -> None:
    """Pairs go out urlencoded."""
    fetched = Outbound(LOOPBACK).post(base + "/echo", [("a", "b c"), ("d", "é")])
    assert fetched.body == b"a=b+c&d=%C3%A9"


@pytest.mark.parametrize("path", ["/large", "/endless", "/gzip"])
def test_sizes_are_bounded(base: str, path: str) -> None:
    """More than max_bytes, declared or not, is no answer; neither is what was compressed."""
    with pytest.raises(OutboundFailed):
        Outbound(LOOPBACK).get(base + path)


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_times_are_bounded_as_a_whole(base: str) -> None:
    """Silence and a slow drip end at the same instant."""
    with silent() as quiet:
        for url in (quiet + "/", base + "/drip"):
            began = time.monotonic()
            with pytest.raises(OutboundFailed, match="in time"):
                Outbound(LOOPBACK).get(url)
            assert time.monotonic() - began < 4


def test_nobody_there() -> None:
    """A refused connection and an unknown name are failures, with a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OutboundFailed):
        Outbound(LOOPBACK).get(f"http://127.0.0.1:{port}/")

    def unknown(_host: str, _port: int) -> list[object]:
        raise socket.gaierror("unknown")

    with pytest.raises(OutboundFailed, match="cannot be resolved"):
        Outbound(LOOPBACK, resolver=unknown).get("https://nowhere.example/")  # type: ignore[arg-type] # raises
