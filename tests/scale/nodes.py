"""Nodes on one PostgreSQL, each a process group of its own, behind HAProxy."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Client, Deployment, Served
from tests.system.family import children, kill_all, until

TEMPLATE = Path(__file__).parents[2] / "dist" / "proxies" / "haproxy.cfg"
SERVER = """\
workers = 1
threads = 16
trusted_proxies = ["127.0.0.1/32"]
public_url = "http://127.0.0.1:{port}"
"""
FRONT = """\
global
    maxconn 2000

defaults
    mode http
    option forwardfor
    timeout connect 2s
    timeout client 60s
    timeout server 45s
    timeout http-request 10s

frontend plain
    bind 127.0.0.1:{port}
    use_backend gatebook_alive if {{ nbsrv(gatebook) lt 1 }}
    default_backend gatebook

"""


def haproxy() -> str:
    """The program, or no test here."""
    found = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        pytest.skip("HAProxy is not installed: apt-get install haproxy")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Node:
    """One server on the common store; it can be killed, ended and started again."""

    def __init__(self, directory: Path, url: str, public: int, first: Deployment | None) -> None:
        directory.mkdir()
        self.deployment = Deployment(directory, url, server=SERVER.format(port=public))
        self.port = free_port()
        config = self.deployment.config
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{self.port}"))
        if first is not None:
            shutil.copyfile(first.directory / "master.key", directory / "master.key")
        self.client = Client("127.0.0.1", self.port)
        self._stack = contextlib.ExitStack()
        self.served: Served | None = None

    def start(self) -> None:
        """Comes back once it accepts connections."""
        with self.deployment.stderr.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "gatebook.api", str(self.deployment.config)],
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.served = Served(self.deployment, process)

    def follower(self) -> list[int]:
        assert self.served is not None
        return children(self.served, "follower")

    def kill(self) -> None:
        """kill -9 of all its processes."""
        assert self.served is not None
        kill_all(self.served)
        self._buried()

    def end(self) -> None:
        """As an operator ends it."""
        assert self.served is not None
        self.served.process.send_signal(signal.SIGTERM)
        code = self.served.process.wait(60)
        self._buried()
        assert code == 0, self.deployment.log()[-2000:]

    def close(self) -> None:
        if self.served is not None:
            kill_all(self.served)
            self._buried()

    def _buried(self) -> None:
        assert self.served is not None
        assert self.served.process.stdout is not None
        self.served.process.stdout.close()
        self.served = None


class Farm:
    """Three nodes, and the address that clients know."""

    def __init__(self, nodes: list[Node], front: Client) -> None:
        self.nodes = nodes
        self.front = front

    def all_in(self, seconds: float = 30.0) -> None:
        """Waits until every node says that it is ready."""
        for node in self.nodes:
            until("ready", lambda n=node: n.client.get("/v1/ready").status == 200, seconds)  # type: ignore[misc]  # bound here


@contextlib.contextmanager
def farm(directory: Path, url: str) -> Iterator[Farm]:
    """Starts three nodes and the balancer; ends all of them."""
    program = haproxy()
    port = free_port()
    nodes: list[Node] = []
    for number in range(3):
        first = nodes[0].deployment if nodes else None
        nodes.append(Node(directory / f"node{number}", url, port, first))
    nodes[0].deployment.create()
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.close)
            node.start()
        config = directory / "haproxy.cfg"
        config.write_text(FRONT.format(port=port) + backend([node.port for node in nodes]))
        with (directory / "haproxy.log").open("wb") as said:
            process = subprocess.Popen(
                [program, "-db", "-f", str(config)], stdout=said, stderr=said
            )
        stack.callback(process.wait, 10)
        stack.callback(process.kill)
        front = Client("127.0.0.1", port)
        until("the balancer passes requests on", lambda: passes(front), 20)
        yield Farm(nodes, front)


def passes(front: Client) -> bool:
    with contextlib.suppress(OSError):
        return front.get("/v1/ready").status == 200
    return False


def backend(ports: list[int]) -> str:
    """The backend as the example in dist/ has it, with these servers."""
    text = TEMPLATE.read_text()
    text = text[text.index("\nbackend gatebook") :]
    named = sorted(set(re.findall(r"192\.0\.2\.\d+:8440", text)))
    assert len(named) == len(ports), "the example has another number of nodes"
    for name, port in zip(named, ports, strict=True):
        text = text.replace(name, f"127.0.0.1:{port}")
    return text
