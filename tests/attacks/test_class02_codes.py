"""Classes 1 and 2, races on a code and on the count of its failures.

OpenBao CVE-2025-55000, -55003, Vault CVE-2025-6014, -6015 (TOTP used twice, or guessed past its
limit); Keycloak CVE-2026-1035, -9802 (single use broken by a race, and after a restart),
CVE-2024-4629, CVE-2026-16103 (counters raced past their limit).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.factors import challenged, finish, with_totp
from tests.api.served import Deployment, Served
from tests.attacks.tools import at_once

SERVER = "workers = 4\nthreads = 8"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Four processes on one store."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path_factory.mktemp("crowd"), url, server=SERVER)
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.mark.parametrize("method", ["totp_code", "recovery_code"])
def test_64_wrong_codes_at_once(crowd: Served, method: str) -> None:
    """Never more than five are looked at; then the right code is refused as well."""
    account, client, app = with_totp(crowd)
    codes = client.post("/v1/auth/recovery-codes").body["codes"]
    token = challenged(crowd.client, account["username"])
    wrong = app.wrong() if method == "totp_code" else "AAAAA-AAAAA"

    answers = at_once(64, lambda n: finish(crowd.client, token, **{method: wrong}))

    assert {answer.status for answer in answers} <= {401, 503}
    failed = crowd.events(f"&account={account['id']}&type=login.failed")
    assert 1 <= len(failed) <= 5
    counted = [event["data"]["failures"] for event in failed]
    assert counted == list(range(1, len(failed) + 1))
    while len(crowd.events(f"&account={account['id']}&type=login.failed")) < 5:
        assert finish(crowd.client, token, **{method: wrong}).status == 401
    right = app.code() if method == "totp_code" else codes[0]
    assert finish(crowd.client, token, **{method: right}).status == 401
    assert len(crowd.events(f"&account={account['id']}&type=login.failed")) == 5


def test_64_racing_uses_of_a_recovery_code(crowd: Served) -> None:
    """One code, one token, four processes: one session."""
    account, client, _ = with_totp(crowd)
    code = client.post("/v1/auth/recovery-codes").body["codes"][0]
    token = challenged(crowd.client, account["username"])

    answers = at_once(64, lambda n: finish(crowd.client, token, recovery_code=code))

    assert [answer.status for answer in answers].count(200) == 1
    assert len(crowd.events(f"&account={account['id']}&type=mfa.completed")) == 1


def test_single_use_holds_after_a_kill(tmp_path: Path) -> None:
    """Killed after the commit, with or without its answer: neither token nor code counts again."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 2")
    deployment.create()
    with deployment.served() as server:
        account, client, app = with_totp(server)
        codes = client.post("/v1/auth/recovery-codes").body["codes"]
        token = challenged(server.client, account["username"])
        used = app.code()
        assert finish(server.client, token, totp_code=used).status == 200
        other = challenged(server.client, account["username"])
        assert finish(server.client, other, recovery_code=codes[0]).status == 200
        waiting = challenged(server.client, account["username"])
        _kill(server)
    with deployment.served() as server:
        assert finish(server.client, token, totp_code=app.code()).status == 401
        assert finish(server.client, waiting, totp_code=used).status == 401
        assert finish(server.client, waiting, recovery_code=codes[0]).status == 401
        assert finish(server.client, waiting, recovery_code=codes[1]).status == 200


def _kill(server: Served) -> None:
    """The supervisor and, after it, its workers, which do not outlive it."""
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            server.client.get("/v1/health")
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("the workers outlive their supervisor")
