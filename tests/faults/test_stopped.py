"""Processes that are stopped, not dead: SIGSTOP of a worker, of the follower with the lease."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.served import PASSWORD, Client, Deployment, Served
from tests.system.conftest import SERVER
from tests.system.deeds import LOST
from tests.system.evidence import caught_up, check_store, house_of
from tests.system.family import all_ready, children, kill, until


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pid, signal.SIGCONT)


def lag(admin: Client) -> float:
    text = admin.get("/metrics").raw.decode()
    return max(float(found) for found in re.findall(r"gatebook_projection_lag\{.*\} (\S+)", text))


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=SERVER)
    deployment.create()
    return deployment


def test_a_follower_that_is_stopped_with_the_lease(fresh: Deployment) -> None:
    """Nobody takes over, and the lag says so; access and every write go on. Killed, it is over."""
    with fresh.served() as first:
        caught_up(first)
        with fresh.served() as second:
            caught_up(second)
            (holder,) = children(first, "follower")
            account, own = first.signed_in("viewer")
            caught_up(first)
            with stopped(holder):
                there = second.client.with_token(first.admin.token)
                at = f"/v1/accounts/{account['id']}"
                assert own.get("/v1/auth/me").status == 200
                assert there.patch(at, {"status": "inactive"}).status == 200
                for served in (first, second):
                    asked = served.client.with_token(own.token)
                    assert asked.get("/v1/auth/me").status == 401
                time.sleep(3)  # the other follower tries every second
                assert lag(first.admin) >= 1
                assert lag(there) >= 1
                assert first.client.get("/v1/ready").status == 200
                kill(holder)
                caught_up(second)
            caught_up(first)
    with house_of(fresh) as house:
        check_store(house)
    fresh.check_log(set())


def ask(client: Client, stop: threading.Event, told: Counter[int], body: dict[str, str]) -> None:
    while not stop.is_set():
        try:
            told[client.post("/v1/auth/login", body).status] += 1
        except LOST:
            told[0] += 1


def test_a_worker_that_is_stopped(fresh: Deployment) -> None:
    """Its clients wait until it goes on or dies; others are answered, rightly or with 503."""
    with fresh.served() as served:
        all_ready(served)
        account = served.account()
        body = {"username": account["username"], "password": PASSWORD}
        told: Counter[int] = Counter()
        stop = threading.Event()
        first, _second = children(served, "worker")
        with ThreadPoolExecutor(6) as pool:
            for _ in range(6):
                pool.submit(ask, served.client, stop, told, body)
            time.sleep(0.5)
            with stopped(first):
                until("health", lambda: quick(served) >= 3)
                during = sum(told.values())
                time.sleep(4)
                answered = sum(told.values()) - during
            time.sleep(0.5)
            stop.set()
        print(f"\n{answered} sign-ins were answered in the four seconds; all told: {dict(told)}")
        assert set(told) <= {200, 503}
        assert told[200] > 10
        all_ready(served)
        kill(first, signal.SIGSTOP)
        kill(first)
        until("it is replaced", lambda: first not in children(served, "worker"))
        until("two run", lambda: len(children(served, "worker")) == 2)
        assert served.token(account["username"])
    with house_of(fresh) as house:
        check_store(house)


def quick(served: Served) -> int:
    """How many of four questions are answered within two seconds."""

    def one(_number: int) -> bool:
        with contextlib.suppress(*LOST):
            return served.client.get("/v1/health").status == 200
        return False

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(one, number) for number in range(4)]
        time.sleep(2)
        done = sum(future.done() and future.result() for future in futures)
        for future in futures:
            future.cancel()
        return done
