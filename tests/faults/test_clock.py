"""A clock that is stepped under a running server: back an hour, forward a day."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

from gatebook.domain import account as accounts
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Deployment, Served
from tests.faults.conftest import Clock
from tests.system.evidence import caught_up, check_store, house_of
from tests.system.family import until

HOUR, DAY = 3_600, 86_400


def works(served: Served, account: Any) -> None:
    """Whoever signs in now is known at once, and not any more once that was ended.

    Clocked back, an address counts as one that has used up its tries: it waits for the next one.
    """
    login = {"username": account["username"], "password": PASSWORD}
    until("a try", lambda: served.client.post("/v1/auth/login", login).status != 429, 5, 0.2)
    pair = served.client.login(account["username"], PASSWORD)
    own = served.client.with_token(pair["access_token"])
    assert own.get("/v1/auth/me").status == 200
    renewed = served.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]})
    assert renewed.status == 200
    now = {"token": renewed.body["access_token"]}
    assert own.post("/v1/token/validate", now).body["valid"]
    assert served.client.with_token(now["token"]).post("/v1/auth/logout").status == 204
    assert not served.client.post("/v1/token/validate", now).body["valid"]


def test_a_clock_that_is_set_back_and_forward(sqlite: Deployment, clock: Clock) -> None:
    """Nothing is ordered by it: the log goes on without a gap, and only lifetimes feel it."""
    with mock.patch.dict(os.environ, clock.environment), sqlite.served() as served:
        account, before = served.signed_in("viewer")
        token = {"token": str(before.token)}
        assert served.client.post("/v1/token/validate", token).body["valid"]

        clock.set(-HOUR)
        early = served.client.post("/v1/token/validate", token).body["valid"]
        works(served, account)
        admin = served.client.with_token(served.token(ADMIN, ADMIN_PASSWORD))
        at = f"/v1/accounts/{account['id']}"
        assert admin.patch(at, {"display_name": "An hour ago"}).status == 200
        until("ready", lambda: served.client.get("/v1/ready").status == 200)

        clock.set(0)
        assert served.client.post("/v1/token/validate", token).body["valid"]
        clock.set(DAY)
        assert not served.client.post("/v1/token/validate", token).body["valid"]
        works(served, account)
        admin = served.client.with_token(served.token(ADMIN, ADMIN_PASSWORD))
        assert admin.patch(at, {"display_name": "Tomorrow"}).status == 200
        until("ready", lambda: served.client.get("/v1/ready").status == 200)

        clock.set(0)
        works(served, account)
        served._admin = None
        caught_up(served)
        assert served.admin.get(at).body["display_name"] == "Tomorrow"
    print(f"\na token of the hour before counts while the clock is back: {early}")
    assert "Traceback" not in sqlite.log()
    assert '"gatebook.error"' not in sqlite.log()
    with house_of(sqlite) as house:
        recorded = check_store(house)
    times = [each.recorded_at for each in recorded]
    assert times != sorted(times), "the clock of the server did not move"
    assert sum(isinstance(r.event, accounts.AccountProfileChanged) for r in recorded) == 2
