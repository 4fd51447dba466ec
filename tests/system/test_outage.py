"""The store full, read-only, locked or gone: 503 in time, nothing half done, recovery by itself."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain import account
from tests.api.served import PASSWORD, Answer, Client, Deployment, Served
from tests.postgres import Cluster
from tests.system.conftest import SERVER
from tests.system.evidence import caught_up, check_store, house_of
from tests.system.family import all_ready, children, kill, until

IN_TIME = 25.0
"""Seconds: what a store may be silent for (twice ten), and something for a busy machine."""

OUTAGES = {"StoreUnavailable", "StoreFull", "StoreOverwritten", "OutcomeUnknown", "CommitLost"}
KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'gatebook' AND pid <> pg_backend_pid()"
)


class Witness:
    """An account that was there before, and every kind of request about it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.account, self.own = served.signed_in("viewer")
        self.refresh = served.client.login(self.account["username"], PASSWORD)["refresh_token"]
        self.name = f"during-{self.account['username']}"
        self.before = served.admin.get(f"/v1/accounts/{self.account['id']}").body
        # The first look into the log in an hour is an event, and needs a log that can be written.
        assert served.admin.get("/v1/audit").status == 200

    def writes(self) -> dict[str, Answer]:
        """What came of requests that write, all sent at once."""
        at, admin = f"/v1/accounts/{self.account['id']}", self.served.admin
        login = {"username": self.account["username"]}
        new = {"username": self.name, "type": "human", "password": PASSWORD}
        return _answers(
            {
                "create": (admin, "POST", "/v1/accounts", new),
                "change": (admin, "PATCH", at, {"display_name": "Changed"}),
                "grant": (admin, "PUT", f"{at}/roles/auditor", None),
                "right": (admin, "POST", "/v1/auth/login", login | {"password": PASSWORD}),
                "wrong": (admin, "POST", "/v1/auth/login", login | {"password": "not this"}),
                "renew": (admin, "POST", "/v1/auth/renew", {"refresh_token": self.refresh}),
                "logout": (self.own, "POST", "/v1/auth/logout", None),
            }
        )

    def reads(self) -> dict[str, Answer]:
        """What came of requests that need the store and write nothing."""
        at, admin = f"/v1/accounts/{self.account['id']}", self.served.admin
        token = {"token": str(self.own.token)}
        return _answers(
            {
                "show": (admin, "GET", at, None),
                "list": (admin, "GET", "/v1/accounts", None),
                "me": (self.own, "GET", "/v1/auth/me", None),
                "validate": (self.own, "POST", "/v1/token/validate", token),
                "audit": (admin, "GET", "/v1/audit", None),
            }
        )

    def check_unchanged(self) -> None:
        """After it: the account is as it was, its sessions live, and the name is still free."""
        found = self.served.admin.get(f"/v1/accounts/{self.account['id']}").body
        assert self.before == found
        assert {name: a.status for name, a in self.reads().items()} == dict.fromkeys(
            ("show", "list", "me", "validate", "audit"), 200
        )
        answered = {name: answer.status for name, answer in self.writes().items()}
        wrong = {"wrong": 401}
        done = {"create": 201, "change": 200, "grant": 204, "right": 200, "renew": 200}
        assert done | wrong | {"logout": 204} == answered


def _answers(asked: dict[str, tuple[Client, str, str, Any]]) -> dict[str, Answer]:
    with ThreadPoolExecutor(len(asked)) as pool:
        began = time.monotonic()
        futures = {name: pool.submit(one[0].call, *one[1:]) for name, one in asked.items()}
        found = {name: future.result(60) for name, future in futures.items()}
        assert time.monotonic() - began < IN_TIME
        return found


def check_unavailable(answers: dict[str, Answer]) -> None:
    """Every answer says so, and when to come back."""
    for name, answer in answers.items():
        assert answer.status == 503, (name, answer.status, answer.raw)
        assert answer.body["type"].endswith("/store-unavailable"), (name, answer.raw)
        assert int(answer.headers["Retry-After"]) >= 1


def check_gone(witness: Witness) -> None:
    """Nothing can be answered but whether the process serves."""
    check_unavailable(witness.writes() | witness.reads())
    client = witness.served.client
    assert client.get("/v1/health").status == 200
    ready = client.get("/v1/ready")
    assert ready.status == 503
    assert ready.body["status"] == "not-ready"
    assert ready.body["problems"]


def check_recovery(witness: Witness) -> float:
    """It serves again by itself, in the same processes. Returns the seconds it took."""
    client = witness.served.client
    seconds = until("it is ready again", lambda: client.get("/v1/ready").status == 200)
    witness.check_unchanged()
    caught_up(witness.served)
    return seconds


@contextmanager
def watched(deployment: Deployment) -> Iterator[Witness]:
    """A server that must live through the block; afterwards its log and its store are checked."""
    with deployment.served() as served:
        before = children(served)
        assert len(before) == 3
        all_ready(served)
        yield Witness(served)
        assert before == children(served), "a process did not survive the outage"
    with house_of(deployment) as house:
        check_store(house)
    text = deployment.log()
    assert "Traceback" not in text, text[-3000:]
    logged = [json.loads(line) for line in text.splitlines() if '"gatebook.error"' in line]
    assert {line["error"] for line in logged} <= OUTAGES


def test_a_database_file_that_is_moved_away(sqlite: Deployment) -> None:
    """While the file is elsewhere nothing is answered; when it is back, all is as before."""
    path = sqlite.directory / "gatebook.db"
    with watched(sqlite) as witness:
        away = path.with_name("elsewhere")
        path.rename(away)
        try:
            check_gone(witness)
            assert not path.exists()
        finally:
            away.rename(path)
        print(f"\nready {check_recovery(witness):.2f} s after the file was back")


def test_a_full_disk(sqlite: Deployment) -> None:
    """No file of any process may grow: writes are refused, reads go on, then writes do."""
    with watched(sqlite) as witness:
        with no_room(children(witness.served)):
            for _ in range(2):
                check_unavailable(witness.writes())
                assert {answer.status for answer in witness.reads().values()} == {200}
        print(f"\nready {check_recovery(witness):.2f} s after there was room")


@contextmanager
def no_room(pids: list[int]) -> Iterator[None]:
    """No file that these processes write may grow past one page."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_soft, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_database_that_another_program_has_locked(sqlite: Deployment) -> None:
    """Writes are refused in time, while reads and validation go on; then writes do."""
    with watched(sqlite) as witness:
        with closing(sqlite3.connect(sqlite.directory / "gatebook.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(1) as pool:
                writing = pool.submit(witness.writes)
                while not writing.done():
                    assert {answer.status for answer in witness.reads().values()} == {200}
                    time.sleep(0.5)
                check_unavailable(writing.result())
            other.execute("ROLLBACK")
        print(f"\nready {check_recovery(witness):.2f} s after the lock was gone")


@pytest.fixture
def on_cluster(cluster: Cluster, tmp_path: Path) -> Deployment:
    deployment = Deployment(tmp_path, cluster.url(), server=SERVER)
    deployment.create()
    return deployment


def test_a_database_server_that_stops_and_starts(on_cluster: Deployment, cluster: Cluster) -> None:
    """While PostgreSQL is down nothing is answered; when it is back, all is as before."""
    with watched(on_cluster) as witness:
        cluster.stop()
        try:
            check_gone(witness)
        finally:
            cluster.start()
        print(f"\nready {check_recovery(witness):.2f} s after the server was up")


def test_a_database_that_becomes_read_only(on_cluster: Deployment, cluster: Cluster) -> None:
    """A server that comes back as a standby refuses writes; once it is promoted, they go on."""
    signal_file = cluster.home / "cluster" / "standby.signal"
    with watched(on_cluster) as witness:
        cluster.stop("fast")
        signal_file.touch()
        owner = signal_file.parent.stat()
        os.chown(signal_file, owner.st_uid, owner.st_gid)
        cluster.start()
        try:
            check_unavailable(witness.writes())
            assert {answer.status for answer in witness.reads().values()} == {200}
        finally:
            with cluster.connect() as admin:
                admin.execute("SELECT pg_promote()")
        print(f"\nready {check_recovery(witness):.2f} s after it was promoted")


def test_connections_that_are_killed_under_load(on_cluster: Deployment, cluster: Cluster) -> None:
    """Clients that repeat what was refused, under its key, get each account exactly once."""
    done: dict[str, str] = {}
    told: Counter[int] = Counter()
    with watched(on_cluster) as witness:
        stop = threading.Event()
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(_create, witness, n, stop, done, told) for n in range(8)]
            with cluster.connect() as admin:
                for _ in range(25):
                    stop.wait(0.08)
                    admin.execute(KILL.encode())
            stop.set()
            for future in futures:
                future.result(60)
        check_recovery(witness)
    with house_of(on_cluster) as house:
        recorded = house.store.read(0, 100_000)
    created = Counter(
        str(each.stream_id) for each in recorded if isinstance(each.event, account.AccountCreated)
    )
    print(f"\n{len(done)} accounts, answers {dict(told)}, lost 0, twice 0")
    assert len(done) > 20
    assert [1] * len(done) == [created[account_id] for account_id in done.values()]
    assert sum(created.values()) == len(done) + 3


def _create(
    witness: Witness, number: int, stop: threading.Event, done: dict[str, str], told: Counter[int]
) -> None:
    for turn in range(100_000):
        if stop.is_set():
            return
        name = f"killed-{number}-{turn}"
        for _ in range(200):
            answer = witness.served.admin.post(
                "/v1/accounts",
                {"username": name, "type": "human"},
                headers={"Idempotency-Key": name},
            )
            told[answer.status] += 1
            if answer.status == 201:
                break
            check_unavailable({name: answer})
        done[name] = answer.body["id"]


def test_a_worker_that_dies_while_the_store_is_gone(
    on_cluster: Deployment, cluster: Cluster
) -> None:
    """A dead worker and a dead follower cannot be replaced without a database: the rest goes on."""
    with on_cluster.served() as served:
        all_ready(served)
        witness = Witness(served)
        cluster.stop()
        try:
            for kind in ("worker", "follower"):
                kill(children(served, kind)[0])
            gone = time.monotonic() + 10
            while time.monotonic() < gone and served.process.poll() is None:
                time.sleep(0.2)
            assert served.process.poll() is None, on_cluster.log()[-500:]
        finally:
            cluster.start()
        until("all of them run", lambda: len(children(served)) == 3)
        all_ready(served)
        check_recovery(witness)
