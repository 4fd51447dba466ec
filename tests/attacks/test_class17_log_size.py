"""Class 17, enumeration: the length of the log is public, and tells nothing of who exists."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import PASSWORD, Deployment, Served
from tests.attacks.conftest import SERVER

TRIES = 9
WRONG = "not this one, nor that one 77"
NOBODY = "0b0b0b0b-0000-4000-8000-000000000000"


@pytest.fixture(params=["sqlite", "postgresql"])
def quiet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A server that does nothing but what the test asks for."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=SERVER)
    deployment.create()
    with deployment.served() as served:
        yield served


def size(served: Served) -> int:
    """How many events there are, once nothing is under way."""
    before, now = -1, 0
    while before != now:
        before, now = now, served.head()
        time.sleep(0.05)
    return now


def grown(served: Served, path: str, body: Any) -> list[int]:
    """By how many events the log grows with each of some tries."""
    steps = []
    before = size(served)
    for _ in range(TRIES):
        assert served.client.post(path, body).status == 401
        now = size(served)
        steps.append(now - before)
        before = now
    return steps


def test_a_name_that_exists_grows_the_log_like_one_that_does_not(quiet: Served) -> None:
    """Tries until the lock, and those refused by it: the same events, one after the other."""
    names = [quiet.account()["username"] for _ in range(2)]
    erased = quiet.account()
    gone = {"confirm": erased["username"]}
    assert quiet.admin.post(f"/v1/accounts/{erased['id']}/erase", gone).status == 204
    inactive = quiet.account()
    off = {"status": "inactive"}
    assert quiet.admin.patch(f"/v1/accounts/{inactive['id']}", off).status == 200
    names += [erased["username"], inactive["username"], "nobody-of-that-name", "nor-of-this"]

    seen = {
        name: grown(quiet, "/v1/auth/login", {"username": name, "password": WRONG})
        for name in names
    }

    assert set(map(tuple, seen.values())) == {(1,) * 5 + (0,) * (TRIES - 5)}, seen


def test_break_glass_grows_it_alike(tmp_path: Path) -> None:
    """An account with an emergency credential, one without, and none, past the lock of an address.

    Each has an address of its own, and the limit of tries an address has leaves one every 12 s.
    """
    deployment = Deployment(
        tmp_path, "sqlite:///gatebook.db", server=f'{SERVER}\ntrusted_proxies = ["127.0.0.1/32"]'
    )
    deployment.create()
    with deployment.served() as served:
        held, bare = served.account("admin"), served.account()
        made = {"account_id": held["id"], "password": PASSWORD}
        assert served.admin.post("/v1/auth/breakglass/credentials", made).status in (200, 201)
        named = {held["id"]: "192.0.2.1", bare["id"]: "192.0.2.2", NOBODY: "192.0.2.3"}
        seen: dict[str, list[int]] = {account_id: [] for account_id in named}
        for turn in range(7):
            for account_id, address in named.items():
                before = size(served)
                body = {"account_id": account_id, "password": WRONG}
                answer = served.client.post(
                    "/auth/breakglass/login", body, headers={"X-Forwarded-For": address}
                )
                assert answer.status == 401, answer.raw
                seen[account_id].append(size(served) - before)
            if turn >= 4:
                time.sleep(12.3)
    assert set(map(tuple, seen.values())) == {(2,) * 5 + (0,) * 2}, seen
