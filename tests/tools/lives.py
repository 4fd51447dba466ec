"""An account that lives through weeks in a moment: the real API, under a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from gatebook.api.app import create_app
from gatebook.api.metrics import Metrics
from gatebook.api.routes import routes
from gatebook.api.site import site_of
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Deployment

BEGIN = 1_785_000_000_000_000
"""The day on which the deployment is made; the tests' own clock is later."""

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SetClock = Callable[[int], None]
HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>"


class Person:
    """One who calls the API, at whatever time it is."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def token(self, name: str, password: str) -> dict[str, str]:
        """The headers of somebody who signs in now."""
        body = {"username": name, "password": password}
        answer = self._client.post("/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self._client.request(method, path, json=body, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def fails(self, name: str) -> None:
        body = {"username": name, "password": "this is not his password"}
        assert self._client.post("/v1/auth/login", json=body).status_code == 401


@contextmanager
def api(deployment: Deployment) -> Iterator[Person]:
    """The API on the deployment's store, in this process, for callers with tokens."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        site = site_of(house.settings, threads=1, address="127.0.0.1:1")
        app = create_app(house, site, routes(house.settings), Metrics(house))
        transport = httpx.WSGITransport(app=app)
        with httpx.Client(transport=transport, base_url="http://127.0.0.1:1") as client:
            yield Person(client)
    finally:
        house.close()


def live(deployment: Deployment, set_clock: SetClock, name: str = "mara") -> str:
    """Three weeks of an account's life. Returns its id."""
    with api(deployment) as person:
        set_clock(BEGIN + HOUR)
        admin = person.token(ADMIN, ADMIN_PASSWORD)
        account: dict[str, Any] = {
            "username": name,
            "type": "human",
            "password": PASSWORD,
            "display_name": HOSTILE,
            "email": "mara@example.org",
        }
        made = person.call("POST", "/v1/accounts", account, headers=admin)
        path = f"/v1/accounts/{made['id']}"
        person.call("PUT", f"{path}/roles/viewer", headers=admin)
        for day in range(1, 20):
            set_clock(BEGIN + day * DAY + 8 * HOUR + day * 7 * MINUTE)
            if day not in (11, 12):
                _one_day(person, set_clock, day, name)
            if day in _CHANGES:
                method, more, body = _CHANGES[day]
                admin = person.token(ADMIN, ADMIN_PASSWORD)
                person.call(method, path + more, body, headers=admin)
    return str(made["id"])


_CHANGES: dict[int, tuple[str, str, Any]] = {
    4: ("PUT", "/roles/auditor", None),
    6: ("POST", "/unlock", {}),
    10: ("PATCH", "", {"status": "inactive"}),
    12: ("PATCH", "", {"status": "active"}),
    14: ("PUT", "/roles/operator", None),
    16: ("DELETE", "/roles/auditor", None),
    17: ("PUT", "/password", {"password": PASSWORD}),
}


def _one_day(person: Person, set_clock: SetClock, day: int, name: str) -> None:
    """A sign-in that lasts a while, with a mistyped password now and then."""
    now = BEGIN + day * DAY + 8 * HOUR + day * 7 * MINUTE
    if day == 6:
        for at in range(5):
            set_clock(now + at * MINUTE)
            person.fails(name)
        return
    if day % 3 == 0:
        person.fails(name)
    set_clock(now + MINUTE)
    headers = person.token(name, PASSWORD)
    set_clock(now + 3 * MINUTE)
    person.call("GET", "/v1/auth/me", headers=headers)
    if day % 4:
        set_clock(now + (2 + day % 5) * MINUTE)
        person.call("POST", "/v1/auth/logout", {}, headers=headers)
