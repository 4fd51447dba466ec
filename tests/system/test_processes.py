"""The processes: a graceful end, a death of each kind, two nodes on one store, memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain import account
from tests.api.served import PASSWORD, Answer, Client, Deployment, Served
from tests.system.deeds import LOST
from tests.system.evidence import caught_up, check_store, house_of
from tests.system.family import alive, all_ready, children, kill, replaced, resident, until

REQUESTS = 2_000
GROWTH = 48 * 1024
"""KiB that a worker may grow by after it is warm: caches fill, and are bounded."""


def create(client: Client, name: str) -> Answer:
    return client.post("/v1/accounts", {"username": name, "type": "human"})


class Crowd:
    """Eight clients that create accounts until the server does not answer any more."""

    def __init__(self, admin: Client) -> None:
        self.admin = admin
        self.answered: dict[str, int] = {}
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        self._futures = [self._pool.submit(self._run, number) for number in range(8)]

    def _run(self, number: int) -> None:
        for turn in range(100_000):
            if self.stop.is_set():
                return
            name = f"crowd-{number}-{turn}"
            try:
                self.answered[name] = create(self.admin, name).status
            except LOST:
                if self.stop.wait(0.02):
                    return

    def join(self) -> None:
        self.stop.set()
        for future in self._futures:
            future.result(60)
        self._pool.shutdown()


def test_sigterm_while_requests_run(fresh: Deployment) -> None:
    """What was begun is answered, waiting feeds at once, and nothing is done without an answer."""
    with fresh.served() as served:
        all_ready(served)
        head = served.head()
        crowd = Crowd(served.admin)
        time.sleep(0.5)
        with ThreadPoolExecutor(6) as pool:
            begun = [pool.submit(_half, served, f"half-{number}") for number in range(5)]
            far = f"/v1/audit/feed?after={head + 10**6}&wait=25"
            feed = pool.submit(served.admin.get, far)
            time.sleep(0.3)
            asked = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            assert [each.result(30) for each in begun] == [201] * 5
            assert feed.result(30).status == 200
        assert served.process.wait(40) == 0, fresh.log()
        took = time.monotonic() - asked
        crowd.join()
    assert set(crowd.answered.values()) == {201}
    with house_of(fresh) as house:
        recorded = check_store(house)
    created = sum(1 for each in recorded if isinstance(each.event, account.AccountCreated))
    print(f"\n{created} accounts, ended {took:.2f} s after SIGTERM")
    assert created == 1 + 5 + len(crowd.answered), "something was done that nobody was told of"
    assert took < 10
    fresh.check_log(set())


def _half(served: Served, name: str) -> int:
    """Sends a request in two parts, the second one after the server was asked to stop."""
    client = served.admin
    body = f'{{"username": "{name}", "type": "human"}}'
    head = (
        f"POST /v1/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((client.host, client.port), timeout=30) as wire:
        wire.sendall((head + body[:10]).encode())
        time.sleep(0.8)
        wire.sendall(body[10:].encode())
        return int(wire.recv(64).split()[1])


@pytest.mark.parametrize("kind", ["worker", "follower"])
def test_a_child_that_is_killed(fresh: Deployment, kind: str) -> None:
    """Another takes its place; the service goes on meanwhile, and no read model is the worse."""
    with fresh.served() as served:
        all_ready(served)
        crowd = Crowd(served.admin)
        try:
            time.sleep(0.2)
            before = children(served, kind)
            began = time.monotonic()
            kill(before[0])
            replaced(served, kind, before)
            took = time.monotonic() - began
            done = len(crowd.answered)
            until("the service goes on", lambda: len(crowd.answered) > done + 20)
        finally:
            crowd.join()
        all_ready(served)
        caught_up(served)
        assert set(crowd.answered.values()) == {201}
        print(f"\nthe {kind} was replaced after {took:.2f} s, {len(crowd.answered)} accounts")
    with house_of(fresh) as house:
        check_store(house)
    assert '"gatebook.error"' not in fresh.log()


def test_two_nodes_on_one_store(fresh: Deployment) -> None:
    """Both serve, one follows; when its node ends, the other follows on."""
    with fresh.served() as first:
        caught_up(first)
        with fresh.served() as second:
            admin = second.client.with_token(first.admin.token)
            for number in range(20):
                for name, speaker in (("one", first.admin), ("two", admin)):
                    assert create(speaker, f"node-{name}-{number}").status == 201
            caught_up(first)
            caught_up(second)
            if "sqlite:" in fresh.config.read_text():
                lease = fresh.directory / "gatebook.db.follower.lease"
                assert children(first, "follower") == holders(lease)
            _clash(first.admin, admin)
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(40) == 0
            assert create(admin, "after-the-end").status == 201
            caught_up(second)
    with house_of(fresh) as house:
        check_store(house)
    fresh.check_log(set())


def _clash(one: Client, two: Client) -> None:
    """The same names on both nodes at once: each is given once."""
    names = [f"clash-{number}" for number in range(20)]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(lambda c: [create(c, n).status for n in names], c) for c in (one, two)]
        found = [future.result(60) for future in both]
    assert [sorted(pair) for pair in zip(*found, strict=True)] == [[201, 409]] * 20


def holders(lock: Path) -> list[int]:
    """The pids that hold a lock on a file."""
    inode = f":{lock.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return [int(line.split()[4]) for line in lines if inode in line and "->" not in line]


@pytest.mark.alone  # another server may take the port
def test_a_supervisor_that_is_killed(fresh: Deployment) -> None:
    """Its children end by themselves, and nothing listens any more."""
    with fresh.served() as served:
        pids = children(served)
        assert len(pids) == 3
        client = served.client
        served.process.kill()
        served.process.wait(10)
        took = until("no child is left", lambda: not any(map(alive, pids)), 40)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((client.host, client.port), timeout=5).close()
    print(f"\nthe last child ended {took:.2f} s after its supervisor")
    with house_of(fresh) as house:
        check_store(house)


def test_memory_after_many_requests(fresh: Deployment) -> None:
    """Two thousand mixed requests leave a worker hardly larger than it was when warm."""
    with fresh.served() as served:
        all_ready(served)
        account, _client = served.signed_in("viewer")
        _mixed(served, account, 400)
        workers = children(served, "worker")
        before = {pid: resident(pid) for pid in workers}
        files = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in workers}
        began = time.monotonic()
        _mixed(served, account, REQUESTS)
        seconds = time.monotonic() - began
        after = {pid: resident(pid) for pid in workers}
        print(
            f"\nresident KiB {list(before.values())} -> {list(after.values())} over {REQUESTS} "
            f"requests in {seconds:.1f} s; follower {resident(children(served, 'follower')[0])}"
        )
        assert all(after[pid] - before[pid] < GROWTH for pid in workers)
        for pid in workers:
            assert len(os.listdir(f"/proc/{pid}/fd")) <= files[pid] + 64
    fresh.check_log(set())


def _mixed(served: Served, account: Any, count: int) -> None:
    name, at = account["username"], f"/v1/accounts/{account['id']}"
    right = {"username": name, "password": PASSWORD}
    token = {"token": str(served.admin.token)}
    kinds = [
        ("POST", "/v1/token/validate", token, 200),
        ("GET", at, None, 200),
        ("GET", "/v1/accounts?limit=20", None, 200),
        ("POST", "/v1/auth/login", right, 200),
        ("GET", "/v1/audit?limit=20&order=desc", None, 200),
        ("POST", "/v1/auth/login", {"username": "nobody-there", "password": "x"}, 401),
        ("PATCH", at, {"display_name": "Somebody"}, 200),
        ("POST", "/v1/token/validate", {"token": "x" * 4000}, 200),
        ("POST", "/v1/accounts", {"username": "a/b", "type": "human"}, 400),
        ("GET", "/v1/nothing", None, 404),
    ]

    def ask(number: int) -> None:
        method, path, body, status = kinds[number % len(kinds)]
        answer = served.admin.call(method, path, body)
        assert answer.status == status, (path, answer.status, answer.raw)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(count)))


def test_a_second_server_on_the_same_address(sqlite: Deployment) -> None:
    """It says in one line why it does not start, and leaves the first one alone."""
    with sqlite.served() as served:
        config = sqlite.config.read_text()
        taken = config.replace("127.0.0.1:0", f"127.0.0.1:{served.client.port}")
        other = sqlite.directory / "other.toml"
        other.write_text(taken)
        command = [*served.process.args[:-1], str(other)]  # type: ignore[index]  # a list, as given
        refused = subprocess.run(command, capture_output=True, timeout=60)
        assert refused.returncode == 78
        assert len(refused.stderr.splitlines()) == 1
        assert served.client.get("/v1/ready").status == 200
