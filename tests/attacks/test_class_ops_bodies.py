"""Operations: bodies that are announced and do not come, at the engine that faces the network."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from gatebook.api.owed import BODIES_OF_ONE
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served

THREADS = 4
OWED = (
    b"GET /v1/health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /v1/token/validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
)


@pytest.fixture(scope="module")
def facing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One worker on granian with four threads for handlers."""
    deployment = Deployment(
        tmp_path_factory.mktemp("bodies"),
        "sqlite:///gatebook.db",
        server=f'workers = 1\nthreads = {THREADS}\nengine = "granian"',
    )
    deployment.create()
    with deployment.served() as server:
        yield server


def owing(served: Served, count: int, source: str) -> list[socket.socket]:
    """Connections from a source that owe their bodies."""
    held = []
    for number in range(count):
        address = served.client.host, served.client.port
        held.append(socket.create_connection(address, timeout=5, source_address=(source, 0)))
        held[-1].sendall(OWED[number % 2])
    return held


def test_others_are_answered(facing: Served) -> None:
    """Many more bodies are owed than there are threads, from one address and from several."""
    held = owing(facing, 10 * THREADS, "127.0.0.2")
    for last in range(3, 8):
        held += owing(facing, 12, f"127.0.0.{last}")
    try:
        time.sleep(0.5)
        began = time.monotonic()
        assert facing.client.get("/v1/health").status == 200
        assert facing.token(ADMIN, ADMIN_PASSWORD)
        assert time.monotonic() - began < 3
    finally:
        for one in held:
            one.close()


def test_one_address_owes_a_few(facing: Served) -> None:
    """Beyond its share an address is soon told so; when it owes nothing it is served again."""
    held = owing(facing, BODIES_OF_ONE, "127.0.0.9")
    try:
        time.sleep(0.5)
        held += owing(facing, 1, "127.0.0.9")
        assert held[-1].recv(4096).startswith(b"HTTP/1.1 503")
    finally:
        for one in held:
            one.close()
    time.sleep(0.5)
    (again,) = owing(facing, 1, "127.0.0.9")
    again.sendall(b"0\r\n\r\n")
    said = again.recv(4096)
    again.close()
    assert said.startswith(b"HTTP/1.1 200")
