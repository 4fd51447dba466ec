"""waitress as we run it: it sleeps while it waits, and gives up on what never arrives."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gatebook.api import engine
from gatebook.api.engine import Engine
from gatebook.api.site import site_of
from gatebook.store.settings import Settings

Start = Callable[[Any], tuple[str, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Serves an application in a thread; stopped at the end."""
    running: list[tuple[Engine, threading.Thread]] = []

    def begin(app: Any) -> tuple[str, int]:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        site = site_of(Settings(), threads=2, address="127.0.0.1:1")
        served = Engine(site, 2, lambda: "fresh")
        served.listen(app, listening)
        thread = threading.Thread(target=served.run)
        thread.start()
        running.append((served, thread))
        host, port = listening.getsockname()
        return host, port

    yield begin
    for served, thread in running:
        served.stop()
        thread.join(20)
        assert not thread.is_alive()


def hello(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def test_no_spin_while_a_request_is_worked_on(start: Start) -> None:
    """A handler that sleeps costs next to no CPU, though part of its answer is written already.

    Another request wakes the loop meanwhile: asleep for other reasons, it would prove nothing.
    """

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        time.sleep(0.2)
        yield b"hello"
        time.sleep(0.8 if environ["PATH_INFO"] == "/slow" else 0)
        yield b"again"

    address = start(app)
    with socket.create_connection(address) as slow, socket.create_connection(address) as other:
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.1)
        began = time.process_time()
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b""
        while part := slow.recv(4096):
            said += part
        spent = time.process_time() - began

    assert said.endswith(b"helloagain")
    assert spent < 0.2


def test_dripping_request(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that drips byte by byte is ended at its deadline, with a 408."""
    monkeypatch.setattr(engine, "REQUEST_SECONDS", 1.0)
    address = start(hello)
    with socket.create_connection(address) as client:
        client.settimeout(10)
        began = time.monotonic()
        said = b""
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for _ in range(60):
            try:
                client.sendall(b"X")
                client.settimeout(0.1)
                said = client.recv(4096)
                break
            except TimeoutError:
                continue

    assert said.startswith((b"HTTP/1.1 408", b"HTTP/1.0 408"))
    assert time.monotonic() - began < 5


def test_slow_clients_do_not_shut_others_out(start: Start) -> None:
    """Two hundred connections that say nothing leave room for one that does."""
    address = start(hello)
    idle = [socket.create_connection(address) for _ in range(200)]
    try:
        began = time.monotonic()
        with socket.create_connection(address) as client:
            client.settimeout(5)
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 2
    finally:
        for connection in idle:
            connection.close()


def test_failing_application(start: Start) -> None:
    """An exception that escapes the application is a 500 problem without its text."""

    def broken(_environ: Any, _start_response: Any) -> list[bytes]:
        raise RuntimeError("a secret")

    address = start(broken)
    with socket.create_connection(address) as client:
        client.settimeout(5)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b""
        while part := client.recv(4096):
            said += part

    assert said.startswith(b"HTTP/1.1 500")
    assert b"application/problem+json" in said
    assert b"secret" not in said
