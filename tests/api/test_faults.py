"""A store that is gone: 503, nothing half done, and recovery by itself when it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import SERVER
from tests.api.served import PASSWORD, Answer, Deployment, Served
from tests.postgres import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that the test may stop."""
    with running_cluster() as server:
        yield server


def again(served: Served, path: str) -> Answer:
    """Asks until it is answered well, for some seconds."""
    deadline = time.monotonic() + 20
    answer = served.admin.get(path)
    while answer.status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = served.admin.get(path)
    return answer


def check_unavailable(answer: Answer) -> None:
    assert answer.status == 503, answer.raw
    assert answer.body["type"].endswith("/problems/store-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert b"gatebook.db" not in answer.raw
    assert b"postgres" not in answer.raw


def test_sqlite_file_moved_away(deployment: Deployment) -> None:
    """While the file is not where it was, writes are 503; when it is back, they go on."""
    deployment.create()
    with deployment.served() as served:
        account = served.account()
        path = f"/v1/accounts/{account['id']}"
        database = deployment.directory / "gatebook.db"
        database.rename(deployment.directory / "away.db")
        try:
            check_unavailable(served.admin.patch(path, {"display_name": "Lost"}))
            check_unavailable(
                served.client.post(
                    "/v1/auth/login", {"username": account["username"], "password": PASSWORD}
                )
            )
        finally:
            (deployment.directory / "away.db").rename(database)
        assert again(served, path).body["display_name"] == ""
        assert served.admin.patch(path, {"display_name": "Found"}).status == 200
        assert served.client.login(account["username"], PASSWORD)


def test_postgresql_stopped_and_started(cluster: Cluster, tmp_path: Path) -> None:
    """While the server is down every call that needs it is 503, readiness too; then all is well."""
    deployment = Deployment(tmp_path, cluster.url(), server=SERVER)
    deployment.create()
    with deployment.served() as served:
        account = served.account()
        path = f"/v1/accounts/{account['id']}"
        cluster.stop()
        try:
            check_unavailable(served.admin.get(path))
            check_unavailable(served.admin.patch(path, {"display_name": "Lost"}))
            ready = served.client.get("/v1/ready")
            assert (ready.status, ready.body["status"]) == (503, "not-ready")
            assert ready.body["problems"]
            assert served.client.get("/v1/health").status == 200
        finally:
            cluster.start()
        assert again(served, path).body["display_name"] == ""
        assert served.admin.patch(path, {"display_name": "Found"}).status == 200
        shown: list[str] = []
        for _ in range(100):  # the follower is back within seconds
            listed = served.admin.get(f"/v1/accounts?q={account['username']}").body["items"]
            shown = [one["display_name"] for one in listed]
            if shown == ["Found"]:
                break
            time.sleep(0.1)
        assert shown == ["Found"]
