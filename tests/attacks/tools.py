"""What attackers need: parallel calls, a hash gate that is held shut, raw bytes, the program."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from tests.api.served import PROGRAM, Deployment, Served

T = TypeVar("T")


def at_once(count: int, deed: Callable[[int], T]) -> list[T]:
    """Calls `deed(0)`, `deed(1)`, ... in threads that a barrier lets go together."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait(20)
        return deed(number)

    futures = [begun(partial(run, number)) for number in range(count)]
    return [future.result(60) for future in futures]


def begun(deed: Callable[[], T]) -> Future[T]:
    """Runs a deed in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(deed())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def hash_gate_shut(deployment: Deployment) -> Iterator[None]:
    """No password is hashed meanwhile: what a flood of sign-ins does, made certain."""
    slots = [
        deployment.directory / "slots" / f"hash-slot-{n}.lock" for n in range(os.cpu_count() or 1)
    ]
    held: list[int] = []
    try:
        for path in slots:
            held.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def raw(served: Served, sent: bytes, *, wait: float = 3.0) -> bytes:
    """Sends bytes; returns all that comes until the server closes or is silent."""
    said = b""
    with socket.create_connection((served.client.host, served.client.port), timeout=wait) as sock:
        sock.sendall(sent)
        try:
            while part := sock.recv(65_536):
                said += part
        except (TimeoutError, ConnectionResetError):
            pass
    return said


def program(
    deployment: Deployment | None,
    *words: str,
    given: str = "",
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `gatebook` on a deployment (None: on none) to its end."""
    config = ["--config", str(deployment.config)] if deployment is not None else []
    return subprocess.run(
        [PROGRAM, "-c", "from gatebook.tools.main import main; main()", *config, *words],
        capture_output=True,
        text=True,
        input=given,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )
