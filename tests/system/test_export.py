"""Exports of a large log, killed again and again: their receiver still proves them whole."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gatebook.store.checkpoints import Checkpoint, parse
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import synthesize
from tests.api.served import Deployment, Served
from tests.browser.webdriver import free_port
from tests.system.conftest import LONG

RECEIVER = Path(__file__).parents[2] / "tools" / "receiver.py"
GATEBOOK = Path(sys.executable).parent / "gatebook"
KILLS = 200 if LONG else 24
EVENTS = 60_000


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a log of many events, all of them under a signed head."""
    deployment = Deployment(
        tmp_path_factory.mktemp("busy"), "sqlite:///gatebook.db", server="workers = 2\nthreads = 8"
    )
    deployment.create()
    house = open_house(Settings.load(deployment.config, {}))
    try:
        synthesize(house.store, EVENTS - house.store.head(), codec=Real(house))
    finally:
        house.close()
    with deployment.served() as served:
        until(lambda: newest(served).size >= EVENTS, 60)
        yield served


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it came to be in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return true()


def newest(served: Served) -> Checkpoint:
    return parse(served.client.get("/v1/audit/checkpoint").raw.decode())[0]


def environment(served: Served) -> dict[str, str]:
    return os.environ | {"GATEBOOK_TOKEN": str(served.admin.token)}


def command(served: Served, *words: str) -> list[str]:
    address = f"http://{served.client.host}:{served.client.port}"
    return [str(GATEBOOK), "--server", address, "audit", "export", *words]


def test_sixty_thousand_events_are_sixty_thousand_lines(busy, tmp_path):
    """E57: nothing is left out of an export, and that it was taken is an event."""
    copy = tmp_path / "all.jsonl"
    done = subprocess.run(
        command(busy, "--output", str(copy)), env=environment(busy), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in copy.read_text().splitlines()]
    head = parse(lines[-1]["checkpoint"])[0]
    assert head.size >= EVENTS
    assert [line["position"] for line in lines[:-1]] == list(range(1, head.size + 1))
    (recorded,) = busy.events("&type=audit.exported")
    assert recorded["data"] == {"format": "jsonl", "after": 0, "upto": head.size}
    assert copy.stat().st_mode & 0o077 == 0
    assert received(busy, copy.read_bytes()) == (0, f"{head.size} events, proved up to {head.size}")


def received(served: Served, export: bytes, *words: str) -> tuple[int, str]:
    """What the receiver says of an export."""
    key = served.client.get("/v1/audit/checkpoint/key").raw.decode().strip()
    done = subprocess.run(
        [sys.executable, RECEIVER, key, *words], input=export, capture_output=True
    )
    return done.returncode, (done.stdout or done.stderr).decode().strip()


class Shipper:
    """An exporter and its receiver, joined by a pipe, as an operator starts them."""

    def __init__(self, served: Served, copy: Path) -> None:
        self._served, self.copy = served, copy
        self._key = served.client.get("/v1/audit/checkpoint/key").raw.decode().strip()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts both behind what the receiver has."""
        words = ("--follow", "--after", str(self.state()["position"]))
        export = self._begin(command(self._served, *words), stdout=subprocess.PIPE)
        assert export.stdout is not None
        self._begin([sys.executable, RECEIVER, self._key, self.copy], stdin=export.stdout)
        export.stdout.close()

    def _begin(self, words: list[Any], **how: Any) -> subprocess.Popen[bytes]:
        with self.copy.with_suffix(".errors").open("ab") as errors:
            process = subprocess.Popen(words, env=environment(self._served), stderr=errors, **how)
        self._processes.append(process)
        return process

    def kill(self, which: int) -> None:
        self._processes[which].kill()
        self._processes[which].wait(20)

    def stop(self) -> None:
        for which in range(len(self._processes)):
            self.kill(which)
        self._processes = []

    def state(self) -> dict[str, Any]:
        """What the receiver has, and has proved."""
        path = Path(f"{self.copy}.state")
        return dict(json.loads(path.read_text())) if path.exists() else {"position": 0, "proved": 0}

    def size(self) -> int:
        return self.copy.stat().st_size if self.copy.exists() else 0

    def errors(self) -> str:
        return self.copy.with_suffix(".errors").read_text()


@contextmanager
def writers(served: Served) -> Iterator[None]:
    """Three that sign in and out until the block ends."""
    account = served.account()
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            while not stop.is_set():
                client = served.client.with_token(served.token(account["username"]))
                assert client.post("/v1/auth/logout").status == 204
                stop.wait(0.1)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failed == []


def test_killed_at_random_it_ends_with_the_same_root(busy, tmp_path):
    """Exporter and receiver are killed while others write: nothing is missing or there twice."""
    chance = random.Random(7)
    shipper = Shipper(busy, tmp_path / "copy.jsonl")
    with writers(busy):
        for number in range(KILLS // 2):
            shipper.start()
            until_size = shipper.size() + chance.randrange(4_000_000)
            until(lambda size=until_size: shipper.size() > size, chance.uniform(0.5, 2))
            shipper.kill(number % 2)
            time.sleep(chance.uniform(0, 0.05))
            shipper.stop()
    shipper.start()
    wanted = newest(busy).size
    assert until(lambda: shipper.state()["proved"] >= wanted, 60), shipper.errors()
    shipper.stop()

    proved = shipper.state()["proved"]
    lines = [json.loads(line) for line in shipper.copy.read_text().splitlines()]
    positions = [line["position"] for line in lines if "position" in line][:proved]
    assert positions == list(range(1, proved + 1))
    notes = [parse(line["checkpoint"])[0] for line in lines if "checkpoint" in line]
    (head,) = [note for note in notes if note.size == proved]
    proof = busy.client.get(f"/v1/audit/proof/consistency?from=1&to={proved}").body
    assert b64encode(head.root).decode() == proof["root_hash_2"]
    assert "receiver:" not in shipper.errors()
    assert received(busy, shipper.copy.read_bytes())[0] == 0


def test_a_follower_outlives_its_server(tmp_path):
    """While the server is away an export asks again; then it goes on where it was."""
    port = free_port()
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"'))
    deployment.create()
    shipped: subprocess.Popen[bytes] | None = None
    try:
        with deployment.served() as served:
            words = command(served, "--follow", "--output", str(tmp_path / "copy.jsonl"))
            with (tmp_path / "errors").open("wb") as errors:
                shipped = subprocess.Popen(words, env=environment(served), stderr=errors)
            assert until(lambda: _ends_at(tmp_path) > 0, 20)
        before = _ends_at(tmp_path)
        with deployment.served() as served:
            served.account()
            wanted = served.head()
            assert until(lambda: _ends_at(tmp_path) >= wanted > before, 30)
            assert received(served, (tmp_path / "copy.jsonl").read_bytes())[0] == 0
        assert "cannot reach the server" in (tmp_path / "errors").read_text()
    finally:
        if shipped is not None:
            shipped.kill()
            shipped.wait(20)


def _ends_at(directory: Path) -> int:
    """The head that a copy ends in; 0 in the midst of a batch."""
    copy = directory / "copy.jsonl"
    lines = copy.read_bytes().splitlines(keepends=True) if copy.exists() else []
    if not lines or not lines[-1].startswith(b'{"checkpoint"') or not lines[-1].endswith(b"\n"):
        return 0
    return parse(json.loads(lines[-1])["checkpoint"])[0].size
