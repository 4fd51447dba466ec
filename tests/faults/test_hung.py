"""A PostgreSQL that hangs: every process of it is stopped, and its kernel answers for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatebook.store.faults import StoreUnavailable
from gatebook.store.postgres_connection import Address, PostgresReader, connect
from tests.api.served import Client, Deployment
from tests.postgres import Cluster, running_cluster
from tests.system.family import PROC, children, kill, until

IN_TIME = 15.0
"""Seconds: ten, and something for a busy machine."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server of its own: the others' must go on."""
    with running_cluster() as running:
        yield running


@contextmanager
def hung(cluster: Cluster) -> Iterator[None]:
    """No process of the server does anything for the length of the block."""
    master = int((cluster.home / "cluster" / "postmaster.pid").read_text().split()[0])
    kill(master, signal.SIGSTOP)  # first, so that no other process comes
    listed = (PROC / f"{master}/task/{master}/children").read_text().split()
    everyone = [master, *map(int, listed)]
    for pid in everyone:
        kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everyone:
            kill(pid, signal.SIGCONT)


def timed(client: Client, method: str, path: str, body: object = None) -> tuple[int, float]:
    """A request's status, and how long it took."""
    began = time.monotonic()
    status = client.call(method, path, body).status
    return status, time.monotonic() - began


def test_reads_are_refused_in_time_and_go_on_afterwards(cluster: Cluster, tmp_path: Path) -> None:
    """503 within ten seconds, however many ask; health all the while; the same processes."""
    deployment = Deployment(tmp_path, cluster.url(), server="workers = 1\nthreads = 8")
    deployment.create()
    with deployment.served() as served:
        account, own = served.signed_in("viewer")
        before = children(served)
        token = {"token": str(own.token)}
        asked = [
            ("GET", "/v1/ready", None),
            ("POST", "/v1/token/validate", token),
            ("GET", f"/v1/accounts/{account['id']}", None),
        ]
        with hung(cluster), ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(timed, served.admin, *one) for one in asked * 2]
            assert served.client.get("/v1/health").status == 200
            told = [future.result(60) for future in futures]
            assert {status for status, _ in told} == {503}
            assert max(seconds for _, seconds in told) < IN_TIME
            # For a moment it is known, and nobody waits.
            status, seconds = timed(served.client, "GET", "/v1/ready")
            assert (status, seconds < 5) == (503, True)
        until("all is as before", lambda: served.client.get("/v1/ready").status == 200, 20)
        assert served.client.post("/v1/token/validate", token).body["valid"]
        assert served.account()
        assert children(served) == before
    assert "Traceback" not in deployment.log()


def test_a_statement_that_takes_long_is_no_fault(cluster: Cluster) -> None:
    """As long as the server takes connections, an answer may be waited for."""
    address = Address.parse(cluster.url())
    reader = PostgresReader(address, lambda *_row: None)  # type: ignore[arg-type,return-value]  # decodes nothing
    try:
        assert reader.query("SELECT 1 FROM pg_sleep(5)") == [(1,)]
    finally:
        reader.close()


def test_a_new_connection_is_not_waited_for_twice(cluster: Cluster) -> None:
    """The first one takes its five seconds, those after it are refused at once."""
    address = Address.parse(cluster.url())
    with hung(cluster):
        for most in (8.0, 0.5):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                connect(address)
            assert time.monotonic() - began < most
    time.sleep(3.1)
    connect(address).close()
