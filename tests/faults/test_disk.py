"""No room, or nothing may be written, under the database, the keyring or the counters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.api.served import PASSWORD, Deployment
from tests.faults.conftest import Disk
from tests.system.conftest import SERVER
from tests.system.family import all_ready, children
from tests.system.test_outage import check_recovery, check_unavailable, watched

Mount = Callable[[str], Disk]


def on_disk(tmp_path: Path) -> Deployment:
    """A deployment whose database and keyring are on the disk `data`."""
    deployment = Deployment(tmp_path, "sqlite:///data/gatebook.db", server=SERVER)
    deployment.create()
    return deployment


def test_a_disk_that_is_full(disk: Mount, tmp_path: Path) -> None:
    """Writes are refused with 503, reads and validation go on; with room again all goes on."""
    data = disk("data")
    with watched(on_disk(tmp_path)) as witness:
        data.fill()
        try:
            for _ in range(2):
                check_unavailable(witness.writes())
                assert {answer.status for answer in witness.reads().values()} == {200}
        finally:
            data.free()
        print(f"\nready {check_recovery(witness):.2f} s after there was room")


def test_a_full_disk_under_the_counters(disk: Mount, tmp_path: Path) -> None:
    """Where tries cannot be counted nobody is let in by a password; everything else goes on."""
    slots = disk("slots")
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER)
    deployment.create()
    with deployment.served() as served:
        all_ready(served)
        account, own = served.signed_in("viewer")
        before = children(served)
        slots.fill()
        login = {"username": account["username"], "password": PASSWORD}
        try:
            said = [served.client.post("/v1/auth/login", login).status for _ in range(6)]
            assert set(said) == {503}
            assert own.post("/v1/token/validate", {"token": str(own.token)}).body["valid"]
            at = f"/v1/accounts/{account['id']}"
            assert served.admin.patch(at, {"display_name": "Somebody"}).status == 200
            assert served.client.get("/v1/health").status == 200
        finally:
            slots.free()
        assert served.token(account["username"])
        assert served.client.get("/v1/ready").status == 200
        assert before == children(served), "a process did not survive it"
    assert "Traceback" not in deployment.log()


def test_a_disk_that_is_mounted_read_only(disk: Mount, tmp_path: Path) -> None:
    """A server does not start on it: one line that says why, code 3. Then it may be written."""
    data = disk("data")
    deployment = on_disk(tmp_path)
    data.remount("ro")
    try:
        refused = subprocess.run(
            [sys.executable, "-m", "gatebook.api", str(deployment.config)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        data.remount("rw")
    assert refused.returncode == 3
    assert len(refused.stderr.splitlines()) == 1
    assert "gatebook.db" in refused.stderr
    print(f"\n{refused.stderr.strip()}")
    with deployment.served() as served:
        assert served.account()
