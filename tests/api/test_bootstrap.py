"""The first administrator by token: once, whoever races, whatever comes first."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.conftest import SECRETS, SERVER
from tests.api.served import BOOTSTRAP_TOKEN, PASSWORD, Answer, Deployment, Served

BODY = {"token": BOOTSTRAP_TOKEN, "username": "boss", "password": PASSWORD}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A server that has no administrator yet."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=SERVER)
    deployment.create(admin=False)
    with deployment.served() as server:
        yield server
    deployment.check_log(SECRETS)


def first_admin_events(served: Served, answer: Answer) -> int:
    served.admin = served.client.with_token(answer.body["access_token"])
    return len(served.events("&type=bootstrap.token_first_admin"))


def test_bootstrap(empty: Served) -> None:
    """The token seats the first admin, who is signed in; then the door is shut for good."""
    client = empty.client
    assert client.get("/v1/bootstrap").body == {"available": True}
    for body, status in (
        (BODY | {"token": "wrong"}, 401),
        (BODY | {"token": ""}, 401),
        (BODY | {"username": "a b"}, 400),
        (BODY | {"password": "short"}, 400),
        (BODY | {"role": "admin"}, 400),
    ):
        assert client.post("/v1/bootstrap", body).status == status
    assert client.post("/v1/bootstrap", raw=b" " * 4097).status == 413

    seated = client.post("/v1/bootstrap", BODY)

    assert seated.status == 201
    assert client.get("/v1/bootstrap").body == {"available": False}
    boss = client.with_token(seated.body["access_token"])
    assert boss.get("/v1/auth/me").body["roles"] == ["admin"]
    for token in (BOOTSTRAP_TOKEN, "wrong"):
        again = client.post("/v1/bootstrap", BODY | {"token": token, "username": "other"})
        assert again.status == 410
    assert client.login("boss", PASSWORD)
    assert first_admin_events(empty, seated) == 1


def test_fifty_at_once(empty: Served) -> None:
    """Of fifty racing calls on two processes exactly one seats an admin."""

    def seat(number: int) -> Answer:
        for _ in range(20):
            answer = empty.client.post("/v1/bootstrap", BODY | {"username": f"boss-{number}"})
            if answer.status != 503:  # the hash queue is full: come back, it says
                break
            time.sleep(0.1)
        return answer

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(seat, range(50)))

    won = [answer for answer in answers if answer.status == 201]
    assert len(won) == 1
    assert {answer.status for answer in answers} == {201, 410}
    assert first_admin_events(empty, won[0]) == 1
    assert len(empty.admin.get("/v1/accounts").body["items"]) == 1


def test_retry(empty: Served) -> None:
    """A repeated call with its key gets the first answer, although the seat is taken now."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = empty.client.post("/v1/bootstrap", BODY, headers=key)
    second = empty.client.post("/v1/bootstrap", BODY, headers=key)

    assert (first.status, second.status) == (201, 201)
    assert first.raw == second.raw
    other = empty.client.post("/v1/bootstrap", BODY | {"token": "wrong"}, headers=key)
    assert other.status == 410
