"""Two programs on one store: events that only the newer knows, read models that it built."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from gatebook.projections.engine import status
from gatebook.projections.registry import PROJECTIONS, projection_named
from tests.api.served import Client, Deployment, Served
from tests.system.evidence import caught_up, house_of
from tests.system.family import until
from tests.upgrade.conftest import Cli
from tests.upgrade.newer import served_by_newer, star

several = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
"""Two programs at once are for several nodes, and those share a PostgreSQL."""


def ready(client: Client) -> Any:
    return client.get("/v1/ready").body


def by_name(deployment: Deployment) -> dict[str, Any]:
    with house_of(deployment) as house:
        return {one.name: one for one in status(house.store, PROJECTIONS)}


def check_service(served: Served) -> None:
    """What must go on whatever the read models that people browse are up to."""
    account, own = served.signed_in("viewer")
    token = {"token": str(own.token)}
    assert own.post("/v1/token/validate", token).body["valid"]
    at = f"/v1/accounts/{account['id']}"
    assert served.admin.patch(at, {"status": "inactive"}).status == 200
    assert own.get("/v1/auth/me").status == 401
    assert not served.client.post("/v1/token/validate", token).body["valid"]


def test_an_event_that_only_a_newer_program_knows(deployment: Deployment, cli: Cli) -> None:
    """The older one halts what people browse, names it, and serves; the newer one goes on."""
    with deployment.served() as served:
        starred, own = served.signed_in("viewer")
        caught_up(served)
        position = star(deployment, starred["id"])
        halted = {
            f"The read model {name} halted at event {position}."
            for name in ("accounts", "sessions", "audit")
        }
        until("it is said", lambda: halted <= set(ready(served.client)["problems"]), 20)
        check_service(served)
        assert own.post("/v1/token/validate", {"token": str(own.token)}).body["valid"]

        # Half a stream decides nothing: what changes this one account waits for a newer node.
        refused = served.admin.patch(f"/v1/accounts/{starred['id']}", {"display_name": "X"})
        assert refused.status == 503
        assert refused.body["type"].endswith("/store-unavailable")
        assert str(position) in refused.body["detail"]
        assert served.token(starred["username"])
    with deployment.served() as served:
        check_service(served)
    code, said, _ = cli("--json", "projection", "status")
    assert code == 1
    assert "account.starred.1" in said
    code, _said, told = cli("audit", "tail")
    assert f"The read model audit halted at event {position}. What is newer is not shown." in told
    code, said, _ = cli("doctor")
    assert code == 1
    assert "gatebook projection resume accounts" in said
    assert "projection rebuild accounts" not in said

    found = by_name(deployment)
    assert found["access"].ready
    assert found["accounts"].error_position == position
    with served_by_newer(deployment) as served:
        until("it is ready", lambda: ready(served.client)["status"] == "ready", 20)
        caught_up(served)
        assert served.token(starred["username"])
    assert {one.status for one in by_name(deployment).values()} == {"live"}


@several
def test_a_newer_follower_takes_over_before_anything_halts(deployment: Deployment) -> None:
    """With both running nothing turns red: the follower that cannot read on gives way."""
    with deployment.served() as older:
        account = older.account()
        caught_up(older)
        with served_by_newer(deployment) as newer:
            caught_up(newer)
            star(deployment, account["id"])
            began = time.monotonic()
            while time.monotonic() - began < 8:
                for served in (older, newer):
                    assert ready(served.client) == {"status": "ready", "problems": []}
                time.sleep(0.1)
            caught_up(newer)
            check_service(older)
            check_service(newer)
    assert "gave way" in deployment.log()


@several
def test_a_read_model_of_a_next_version(deployment: Deployment) -> None:
    """It is built beside the older program, which leaves it and the lease to the newer one."""
    with deployment.served() as older:
        check_service(older)
        caught_up(older)
        with served_by_newer(deployment, "accounts", "audit") as newer:
            took = until("ready", lambda: ready(newer.client)["status"] == "ready", 30)
            print(f"\nbuilt anew beside the older program in {took:.1f} s")
            problems = ready(older.client)["problems"]
            assert len(problems) == 2
            assert all("is a newer program's" in one for one in problems)
            for served in (older, newer):
                check_service(served)
            caught_up(newer)
            time.sleep(3)  # long enough for the older one's follower to meddle
            for name in ("accounts", "audit"):
                found = by_name(deployment)[name]
                assert (found.version, found.lag) == (found.wanted + 1, 0)
            assert ready(newer.client)["status"] == "ready"


@several
def test_what_decides_access_in_a_next_version(deployment: Deployment, cli: Cli) -> None:
    """The older program writes nothing more and answers no token wrongly; it may go back later."""
    with deployment.served() as older:
        account, own = older.signed_in("viewer")
        token = {"token": str(own.token)}
        with served_by_newer(deployment, "access") as newer:
            assert ready(newer.client)["status"] == "ready"
            refused = older.admin.patch(f"/v1/accounts/{account['id']}", {"display_name": "X"})
            assert (refused.status, refused.body["type"].rpartition("/")[2]) == (
                503,
                "store-unavailable",
            )
            assert "a newer program's" in ready(older.client)["problems"][0]
            assert older.client.post("/v1/token/validate", token).body["valid"]
            there = newer.client.with_token(str(older.admin.token))
            at = f"/v1/accounts/{account['id']}"
            assert there.patch(at, {"status": "inactive"}).status == 200
            for served in (older, newer):
                assert not served.client.post("/v1/token/validate", token).body["valid"]
            again = subprocess.run(
                list(older.process.args),  # type: ignore[call-overload]  # a list, as given
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert again.returncode == 78
            wanted = projection_named("access").version
            assert f"version {wanted + 1} and this program needs {wanted}" in again.stderr
            assert len(again.stderr.splitlines()) == 1
    code, _, errors = cli("projection", "rebuild", "--all")
    assert (code, "--accept-newer" in errors) == (78, True)
    assert cli("projection", "rebuild", "--all", "--accept-newer")[0] == 0
    with deployment.served() as older:
        assert ready(older.client)["status"] == "ready"
        check_service(older)
