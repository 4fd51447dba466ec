"""Accounts over HTTP: create, list, read now and as of then."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.served import Served


def name() -> str:
    return f"n-{uuid.uuid4().hex[:12]}"


def test_create(served: Served) -> None:
    """A new account is answered whole, with its place and its version."""
    wanted = name()
    answer = served.admin.post(
        "/v1/accounts",
        {"username": wanted, "type": "human", "display_name": "Änne", "email": "a@example.org"},
    )

    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/accounts/{answer.body['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert set(answer.body) == {
        "id",
        "username",
        "type",
        "status",
        "display_name",
        "email",
        "roles",
        "created_at",
        "updated_at",
        "version",
    }
    assert served.admin.get(answer.headers["Location"]).body == answer.body
    assert answer.body["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"type": "human"}, "/username"),
        ({"username": "a b", "type": "human"}, "/username"),
        ({"username": "", "type": "human"}, "/username"),
        ({"username": "x" * 65, "type": "human"}, "/username"),
        ({"username": "ok-name", "type": "robot"}, "/type"),
        ({"username": "ok-name", "type": "human", "extra": 1}, "/extra"),
        ({"username": 5, "type": "human"}, "/username"),
        ({"username": "ok-name", "type": "human", "email": "nobody"}, "/email"),
        ({"username": "ok-name", "type": "human", "display_name": "a\nb"}, "/display_name"),
    ],
)
def test_create_refuses(served: Served, body: Any, pointer: str) -> None:
    """What cannot be an account is a 400 that names the member, and leaves no event."""
    admin = served.admin
    before = served.head()
    answer = admin.post("/v1/accounts", body)

    assert answer.status == 400, answer.raw
    assert [one["pointer"] for one in answer.body["errors"]] == [pointer]
    assert served.head() == before


@pytest.mark.parametrize("password", ["short", "x" * 300, "password1234", "aaaaaaaaaaaaaaaa"])
def test_weak_password(served: Served, password: str) -> None:
    """A weak password refuses the account, and nothing of it remains."""
    wanted = name()
    answer = served.admin.post(
        "/v1/accounts", {"username": wanted, "type": "human", "password": password}
    )

    assert answer.status == 400
    assert answer.body["type"].endswith("/problems/weak-password")
    assert password.encode() not in answer.raw
    assert served.admin.post("/v1/accounts", {"username": wanted, "type": "human"}).status == 201


def test_username_is_taken_in_every_spelling(served: Served) -> None:
    """Spellings that map to one name are one name."""
    wanted = f"straße-{uuid.uuid4().hex[:8]}"
    first = served.admin.post("/v1/accounts", {"username": wanted, "type": "human"})
    second = served.admin.post(
        "/v1/accounts", {"username": wanted.replace("straße", "STRAßE"), "type": "system"}
    )

    assert first.status == 201
    assert second.status == 409
    assert second.body["type"].endswith("/problems/username-taken")


def test_racing_registrations(served: Served) -> None:
    """Of racing registrations of one name exactly one succeeds."""
    wanted = name()
    admin = served.admin

    def register(_number: int) -> int:
        return admin.post("/v1/accounts", {"username": wanted, "type": "human"}).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(register, range(16)))

    assert statuses == [201] + [409] * 15


def test_list(served: Served) -> None:
    """A list holds what was answered before it was asked for, in pages, by filter."""
    mark = uuid.uuid4().hex[:10]
    made = [
        served.admin.post("/v1/accounts", {"username": f"{mark}-{n}", "type": kind}).body["id"]
        for n, kind in enumerate(["human", "system", "human", "system", "human"])
    ]

    first = served.admin.get(f"/v1/accounts?q={mark}&limit=3")
    rest = served.admin.get(f"/v1/accounts?q={mark}&limit=3&after={first.body['next']}")
    systems = served.admin.get(f"/v1/accounts?q={mark}&type=system").body["items"]

    assert [one["id"] for one in first.body["items"] + rest.body["items"]] == made
    assert rest.body["next"] is None
    assert [one["id"] for one in systems] == [made[1], made[3]]
    assert int(first.headers["Gatebook-Position"]) > 0


def test_list_by_role_and_status(served: Served) -> None:
    """Filters look at the roles and the status of now."""
    account = served.account("viewer")
    query = f"/v1/accounts?q={account['username']}"

    assert len(served.admin.get(f"{query}&role=viewer").body["items"]) == 1
    assert served.admin.get(f"{query}&role=auditor").body["items"] == []
    served.admin.delete(f"/v1/accounts/{account['id']}")
    assert len(served.admin.get(f"{query}&status=deleted").body["items"]) == 1
    assert served.admin.get(f"{query}&status=active").body["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=2",
        "nothing=1",
        "after=AAAA",
        "after=%00",
        "status=gone",
        "type=robot",
        "q=%ff",
        "q=%zz",
        "q=%00",
        "limit=",
        "limit=99999999999999999999",
        "limit=1e2",
        "limit=%D9%A5",
    ],
)
def test_bad_query(served: Served, query: str) -> None:
    """Query parameters are closed and typed: anything else is a 400."""
    answer = served.admin.get(f"/v1/accounts?{query}")

    assert answer.status == 400, answer.raw
    assert answer.body["errors"]


def test_cursor_of_another_list(served: Served) -> None:
    """A cursor fits the list it was given out for, and no other; nor does a forged one."""
    given = served.admin.get("/v1/accounts?limit=1").body["next"] or ""
    if not given:
        served.account()
        given = served.admin.get("/v1/accounts?limit=1").body["next"]

    assert served.admin.get(f"/v1/roles?after={given}").status == 400
    flipped = given[:-1] + ("A" if given[-1] != "A" else "B")
    assert served.admin.get(f"/v1/accounts?after={flipped}").status == 400


def test_time_travel(served: Served) -> None:
    """An account is shown exactly as it stood at a position or a time."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}"
    then = served.head()
    time.sleep(0.01)
    moment = served.admin.get(path).body["updated_at"]
    served.admin.patch(path, {"display_name": "Later"})
    served.admin.put(f"{path}/roles/viewer")

    assert served.admin.get(f"{path}?position={then}").body == account
    assert served.admin.get(path).body["display_name"] == "Later"
    assert served.admin.get(f"{path}?position={served.head()}").body["roles"] == ["viewer"]
    assert served.admin.get(f"{path}?position=1").status == 404
    assert served.admin.get(f"{path}?at=2020-01-01T00:00:00Z").status == 404
    at = moment[:-1].partition(".")[0]
    earlier = served.admin.get(f"{path}?at={at}Z")
    assert earlier.status in (200, 404)


def test_time_travel_between_changes(served: Served) -> None:
    """A time between two changes shows the first and not the second."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}"
    served.admin.patch(path, {"display_name": "One"})
    first = served.events(f"&account={account['id']}&type=account.profile_changed")[-1]
    time.sleep(0.02)
    served.admin.patch(path, {"display_name": "Two"})

    then = served.admin.get(f"{path}?at={first['recorded_at']}")

    assert then.body["display_name"] == "One"
    assert then.headers["Gatebook-Position"] == str(first["position"])


@pytest.mark.parametrize(
    "query",
    [
        "at=2999-01-01T00:00:00Z",
        "at=now",
        "at=2020-01-01",
        "at=2020-01-01T00:00:00",
        "position=0",
        "position=-1",
        "position=99999999999",
        "at=2020-01-01T00:00:00Z&position=1",
        "at=1600000000",
        "at=2020-02-30T00:00:00Z",
    ],
)
def test_bad_moment(served: Served, query: str) -> None:
    """A moment that cannot be, or is still to come, is a 400."""
    account = served.account()

    assert served.admin.get(f"/v1/accounts/{account['id']}?{query}").status == 400
