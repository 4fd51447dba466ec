"""Measures a started server: validate and login, memory, and the time until it is ready.

Run: python tools/bench/service.py [--store URL] [--events N] [--seconds S]

Everything happens in a temporary directory, on loopback, with the default hash parameters. The bare
Argon2 of the table is measured in the same run, in this process, with the same parameters.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gatebook.domain.application.core import local
from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House, open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.passwords import Password
from gatebook.store.settings import Settings
from gatebook.tools.bench.synthesize import Real, synthesize

PASSWORD = "copper lantern river 27"
CONFIG = """\
[server]
listen = "127.0.0.1:0"
[store]
url = "{url}"
[master_key]
key_file = "master.key"
[lockout]
threshold = 1000000
"""


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="sqlite:///gatebook.db")
    parser.add_argument("--events", type=int, default=0, help="synthetic events in the log first")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="gatebook-bench-"))
    try:
        measure(directory, options.store, options.events, options.seconds)
    finally:
        shutil.rmtree(directory)


def measure(directory: Path, url: str, events: int, seconds: float) -> None:
    """All figures of one deployment."""
    config = directory / "gatebook.toml"
    config.write_text(CONFIG.format(url=url))
    write_key_file(directory / "master.key")
    house = open_house(Settings.load(config, {}), create=True)
    house.prepare()
    if events:
        fill(house, events)
    house.bootstrap.local_admin(local("bench"), "admin", house.plaintext(PASSWORD))
    bare = sorted(timed(lambda: Password(PASSWORD, house.argon2).rehash()) for _ in range(15))
    head = house.store.head()
    house.close()
    print(f"store {url.partition(':')[0]}, {head:,} events, {os.cpu_count()} cores")
    print(f"bare Argon2id hash        p50 {ms(bare, 50)}  p99 {ms(bare, 99)}")
    began = time.perf_counter()
    with served(config) as (host, port, pid):
        ready = wait_ready(host, port, began)
        print(f"start to ready            {ready:.2f} s")
        login = sorted(timed(lambda: post(host, port, "/v1/auth/login", LOGIN)) for _ in range(15))
        print(f"login, one client         p50 {ms(login, 50)}  p99 {ms(login, 99)}")
        token = post(host, port, "/v1/auth/login", LOGIN)["access_token"]
        for clients in (1, 8, 32):
            taken = load(host, port, {"token": token}, clients, seconds)
            print(
                f"validate, {clients:2} clients      p50 {ms(taken, 50)}  p99 {ms(taken, 99)}"
                f"  {len(taken) / seconds:,.0f}/s"
            )
        for name, size in memory(pid):
            print(f"resident memory           {size / 1024:.0f} MiB  {name}")


LOGIN = {"username": "admin", "password": PASSWORD}


def fill(house: House, events: int) -> None:
    """Writes a made-up past, sealed as in life, then builds every read model from it."""
    began = time.perf_counter()
    head = synthesize(house.store, events, codec=Real(house))
    print(f"synthetic past            {head / (time.perf_counter() - began):,.0f} events/s")
    for projection in PROJECTIONS:
        began = time.perf_counter()
        built = rebuild(house.store, projection, house.clock, lambda _done, _total: None)
        seconds = time.perf_counter() - began
        rate = built.events / seconds
        print(f"rebuild {projection.name:17} {rate:,.0f} events/s, {seconds:.1f} s")


@contextmanager
def served(config: Path) -> Iterator[tuple[str, int, int]]:
    """The real processes. Gives host, port and the supervisor's pid."""
    with (config.parent / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gatebook.api", str(config)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        host, _, port = line.rpartition("/")[2].rpartition(":")
        yield host, int(port), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        process.stdout.close()


def wait_ready(host: str, port: int, began: float) -> float:
    """Seconds until /v1/ready says 200."""
    while time.perf_counter() - began < 120:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/v1/ready")
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return time.perf_counter() - began
        time.sleep(0.01)
    raise SystemExit("it did not get ready")


def load(host: str, port: int, body: object, clients: int, seconds: float) -> list[float]:
    """Keep-alive clients that validate for some seconds. Returns sorted seconds a request."""
    content = json.dumps(body)
    taken: list[list[float]] = [[] for _ in range(clients)]
    until = time.perf_counter() + seconds

    def run(mine: list[float]) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        headers = {"Content-Type": "application/json"}
        while (began := time.perf_counter()) < until:
            connection.request("POST", "/v1/token/validate", content, headers)
            answer = connection.getresponse().read()
            mine.append(time.perf_counter() - began)
            if b'"valid":true' not in answer:
                raise SystemExit(f"a wrong answer: {answer!r}")
        connection.close()

    threads = [threading.Thread(target=run, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(second for mine in taken for second in mine)


def post(host: str, port: int, path: str, body: object) -> dict[str, str]:
    """One request that must succeed."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    decoded: dict[str, str] = json.loads(answer.read())
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {decoded}")
    return decoded


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ms(taken: list[float], percent: int) -> str:
    """A percentile of sorted seconds, in milliseconds."""
    value = statistics.quantiles(taken, n=100, method="inclusive")[percent - 1]
    return f"{value * 1000:7.2f} ms"


def memory(supervisor: int) -> Iterator[tuple[str, int]]:
    """Each process of the server with its resident memory in KiB."""
    for pid in [supervisor, *children(supervisor)]:
        status = Path(f"/proc/{pid}/status").read_text()
        size = int(status.split("VmRSS:")[1].split()[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        module = words[words.index(b"-m") + 1].decode() if b"-m" in words else "?"
        yield module, size


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


if __name__ == "__main__":
    main()
