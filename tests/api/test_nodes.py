"""Several nodes on one store: what one answers counts on the other."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.api.conftest import SERVER
from tests.api.served import PASSWORD, Deployment, Served


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment that two servers are started on."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=SERVER)
    deployment.create()
    return deployment


def listed(served: Served, username: str) -> bool:
    return bool(served.admin.get(f"/v1/accounts?q={username}").body["items"])


def test_two_nodes(shared: Deployment) -> None:
    """A revocation on one node counts on the other at once, and lists go on when one stops."""
    with shared.served() as second:
        with shared.served() as first:
            account = first.account()
            pair = first.client.login(account["username"], PASSWORD)
            there = second.client.with_token(pair["access_token"])
            assert there.get("/v1/auth/me").status == 200
            path = f"/v1/accounts/{account['id']}"
            assert first.admin.patch(path, {"status": "inactive"}).status == 200
            assert there.get("/v1/auth/me").status == 401
            assert second.admin.patch(path, {"status": "active"}).status == 200
            assert first.client.login(account["username"], PASSWORD)
            assert listed(first, account["username"])
        later = second.account()["username"]
        deadline = time.monotonic() + 15
        while not listed(second, later) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert listed(second, later)


def test_hangup_is_ignored(deployment: Deployment) -> None:
    """SIGHUP ends nothing."""
    deployment.create()
    with deployment.served() as served:
        os.kill(served.process.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert served.process.poll() is None
        assert served.client.get("/v1/health").status == 200
