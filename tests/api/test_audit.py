"""The log over HTTP: query, single event, feed."""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import Any

import pytest

from tests.api.served import PASSWORD, Served


def test_shape_of_an_event(served: Served) -> None:
    """An event is shown with all around it, its secret left out, its times readable."""
    account = served.account()
    created, claimed, password = served.events(f"&account={account['id']}")[:3]

    assert set(created) == {
        "position",
        "id",
        "type",
        "category",
        "recorded_at",
        "stream",
        "actor",
        "account_id",
        "request_id",
        "source",
        "data",
    }
    assert (created["type"], created["category"]) == ("account.created", "account")
    assert created["stream"] == {"type": "account", "id": account["id"], "version": 1}
    assert created["actor"]["type"] == "account"
    assert created["source"] == {"ip": "127.0.0.1", "user_agent": "none"}
    assert created["data"]["profile"]["username"] == account["username"]
    assert claimed["type"] == "username.claimed"
    assert password["type"] == "password.set"
    assert "secret" not in password["data"]
    assert created["request_id"] == claimed["request_id"] == password["request_id"]


def test_no_secret_is_shown(served: Served) -> None:
    """No event shows a hash, a remembered answer or a token."""
    account = served.account()
    served.token(account["username"])
    machine = served.account(kind="system", password=None)
    order = {"account_id": machine["id"]}
    served.admin.post("/v1/token/issue", order, headers={"Idempotency-Key": uuid.uuid4().hex})

    text = json.dumps(served.events())

    assert "$argon2" not in text
    assert '"answer"' not in text
    assert "eyJ" not in text
    assert "gbr_" not in text


def test_filters(served: Served) -> None:
    """Each filter finds its events and no others."""
    account = served.account()
    request_id = uuid.uuid4().hex
    served.admin.patch(
        f"/v1/accounts/{account['id']}", {"email": ""}, headers={"X-Request-Id": request_id}
    )
    served.admin.patch(
        f"/v1/accounts/{account['id']}",
        {"email": "z@example.org"},
        headers={"X-Request-Id": request_id},
    )
    mine = f"&account={account['id']}"

    assert [one["type"] for one in served.events(f"&request_id={request_id}")] == [
        "account.profile_changed"
    ]
    assert {one["type"] for one in served.events(mine + "&type=username.claimed")} == {
        "username.claimed"
    }
    assert {one["category"] for one in served.events(mine + "&category=credential")} == {
        "credential"
    }
    admin = served.admin.get("/v1/auth/me").body["account"]["id"]
    assert served.events(mine + f"&actor=account:{admin}")
    assert served.events(mine + f"&actor={uuid.uuid4()}") == []
    changed = served.events(f"&request_id={request_id}")[0]
    at = changed["recorded_at"]
    assert changed in served.events(mine + f"&since={at}")
    assert changed not in served.events(mine + f"&until={at}")


def test_order_and_pages(served: Served) -> None:
    """Pages follow one another without a gap, in either order, while the log grows."""
    account = served.account()
    served.events(f"&account={account['id']}")  # the first reading about it is an event about it
    mine = f"/v1/audit?account={account['id']}&limit=500"
    whole = [one["position"] for one in served.admin.get(mine).body["items"]]

    for order in ("asc", "desc"):
        found: list[int] = []
        after = ""
        for _ in range(50):
            query = f"account={account['id']}&limit=1&order={order}{after}"
            body = served.admin.get(f"/v1/audit?{query}").body
            found += [one["position"] for one in body["items"]]
            if body["next"] is None:
                break
            after = f"&after={body['next']}"
            served.account()
        assert found == (whole if order == "asc" else whole[::-1])


def test_cursor_of_the_other_order(served: Served) -> None:
    """A cursor of one order is not one of the other."""
    served.account()
    given = served.admin.get("/v1/audit?limit=1").body["next"]

    assert served.admin.get(f"/v1/audit?limit=1&order=desc&after={given}").status == 400


def test_single_event(served: Served) -> None:
    """An event is found by its position; past the end there is none."""
    served.account()
    last = served.events()[-1]

    shown = served.admin.get(f"/v1/audit/events/{last['position']}").body
    del shown["proof"]
    assert shown == last
    for position in ("0", "x", "999999999", "-1", "01", str(10**30)):
        assert served.admin.get(f"/v1/audit/events/{position}").status == 404


def test_feed_is_the_log(served: Served) -> None:
    """The feed gives every event once, in order, without a gap."""
    served.account()
    head = served.head()
    found: list[int] = []
    after = "0"
    for _ in range(1000):
        body = served.admin.get(f"/v1/audit/feed?after={after}&limit=100").body
        if not body["items"]:
            break
        found += [one["position"] for one in body["items"]]
        after = body["next"]

    assert found == list(range(1, len(found) + 1))
    assert len(found) >= head


def test_feed_waits(served: Served) -> None:
    """A feed at the end of the log answers as soon as the next event is there."""
    head = served.head() if served.admin else 0
    answers: list[Any] = []

    def follow() -> None:
        answers.append(served.admin.get(f"/v1/audit/feed?after={head}&wait=20"))

    thread = threading.Thread(target=follow)
    began = time.monotonic()
    thread.start()
    time.sleep(0.3)
    served.account(password=None)
    thread.join(25)

    assert time.monotonic() - began < 10
    assert answers[0].body["items"][0]["position"] == head + 1


def test_feed_waits_no_longer_than_asked(served: Served) -> None:
    """When nothing happens the feed answers empty, where to go on unchanged."""
    began = time.monotonic()
    answer = served.admin.get("/v1/audit/feed?after=100000000&wait=1")

    assert 0.9 < time.monotonic() - began < 5
    assert answer.body == {"items": [], "next": "100000000"}


def test_waiting_feeds_leave_room(served: Served) -> None:
    """However many wait, there is a thread left for everybody else."""
    admin = served.admin
    threads = [
        threading.Thread(target=admin.get, args=("/v1/audit/feed?after=100000000&wait=3",))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    served.client.get("/v1/health")
    took = time.monotonic() - began
    for thread in threads:
        thread.join(20)

    assert took < 1


@pytest.mark.parametrize(
    "query", ["wait=31", "wait=-1", "after=x", "after=-1", "limit=501", "order=asc"]
)
def test_bad_feed(served: Served, query: str) -> None:
    """The feed's parameters are closed and bounded."""
    assert served.admin.get(f"/v1/audit/feed?{query}").status == 400


@pytest.mark.parametrize(
    "query",
    ["account=x", "since=yesterday", "order=up", "position=1", "actor=" + "a" * 300],
)
def test_bad_query(served: Served, query: str) -> None:
    """So are the query's."""
    assert served.admin.get(f"/v1/audit?{query}").status == 400


def test_login_failures_are_seen(served: Served) -> None:
    """A wrong password is in the log with its source, and without the password."""
    account = served.account()
    body = {"username": account["username"], "password": "wrong wrong wrong 1"}
    served.client.post("/v1/auth/login", body, headers={"User-Agent": "curl/8.0"})

    (failed,) = served.events(f"&account={account['id']}&type=login.failed")

    assert failed["source"] == {"ip": "127.0.0.1", "user_agent": "curl"}
    assert failed["actor"] == {"type": "anonymous", "id": ""}
    assert failed["data"]["cause"] == "wrong-password"
    assert "wrong wrong" not in json.dumps(failed)
    assert PASSWORD not in json.dumps(failed)
