"""Peers that run: started on a free port of loopback, asked, and ended process by process."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import kill
from pathlib import Path

import msgspec

from gatebook.tools.bench.subject import Request, Work
from gatebook.tools.bench.usage import family

HOST = "127.0.0.1"
LOGINS = 8
"""How many are signing in at once, at every server."""


Pids = Callable[[], list[int]]


class Running:
    """A peer that answers. `works` is filled in once it can be asked for tokens."""

    host = HOST

    def __init__(self, port: int, process: subprocess.Popen[bytes], database: Pids) -> None:
        self.port = port
        self.works: dict[str, Work] = {}
        self._process = process
        self._database = database

    def pids(self) -> list[int]:
        """The server and all its descendants, and its database server's."""
        return family(self._process.pid) + self._database()

    def work(self, path: str) -> Work | None:
        return self.works.get(path)

    def add(self, path: str, *requests: Request, renewed: str = "", connections: int = 64) -> None:
        self.works[path] = Work(
            path=path, requests=requests, renewed=renewed, connections=connections
        )

    def answered(self, request: Request) -> Answer:
        """A right answer. Raises RuntimeError for a wrong one."""
        got = answer(self.port, request)
        if not got.right(request):
            raise RuntimeError(f"{request.method} {request.path}: {got.status} {got.text[:300]}")
        return got


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: http.client.HTTPMessage
    text: str

    def right(self, request: Request) -> bool:
        return self.status == request.status and request.contains in self.text


def answer(port: int, request: Request) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(
            request.method, request.path, request.body.encode() or None, dict(request.headers)
        )
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def said_by(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """What a program that seeds a peer prints. Raises RuntimeError with what it complained of."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} could not seed: {done.stderr[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def started(
    command: Sequence[str],
    directory: Path,
    port: int,
    ready: str,
    *,
    environment: Mapping[str, str] | None = None,
    database: Pids = list,
    patience: float = 60.0,
) -> Iterator[Running]:
    """A program until the block ends; it is ready when GET `ready` answers 200.

    What it prints goes to `server.out` and `server.log` in `directory`. Raises RuntimeError if it
    ends, or is not ready within `patience` seconds.
    """
    with (directory / "server.out").open("wb") as out, (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
        )
        try:
            wait_ready(process, directory, port, ready, patience)
            yield Running(port, process, database)
        finally:
            end(process)


def wait_ready(
    process: subprocess.Popen[bytes], directory: Path, port: int, ready: str, patience: float
) -> None:
    """Returns when GET `ready` answers 200. Raises RuntimeError with the log's end."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if answer(port, Request(method="GET", path=ready)).status == 200:
                return
        time.sleep(0.05)
    said = "".join(
        (directory / name).read_text(errors="replace")[-2000:]
        for name in ("server.out", "server.log")
    )
    raise RuntimeError(f"{process.args!r} is not ready: {said}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks a program to end, then ends by its own id whatever of its family is left."""
    pids = family(process.pid)
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    for pid in pids:
        with contextlib.suppress(OSError):
            if process.poll() is None or pid != process.pid:
                kill(pid, signal.SIGKILL)
    process.wait(20)
