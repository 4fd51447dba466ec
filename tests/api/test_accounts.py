"""Accounts over HTTP: create, list, read as of then, change, delete, restore, erase."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.served import PASSWORD, Client, Served


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


def test_change_with_version(served: Served) -> None:
    """If-Match lets one writer win; the other is told that things have moved."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}"
    tag = served.admin.get(path).headers["ETag"]

    won = served.admin.patch(path, {"email": "a@example.org"}, headers={"If-Match": tag})
    lost = served.admin.patch(path, {"email": "b@example.org"}, headers={"If-Match": tag})

    assert (won.status, lost.status) == (200, 412)
    assert served.admin.get(path).body["email"] == "a@example.org"
    assert won.headers["ETag"] == f'"{won.body["version"]}"'


@pytest.mark.parametrize(
    ("tag", "status"),
    [("*", 200), ('"99"', 412), ('W/"1"', 412), ('"abc"', 412), ("1", 400), ('"1", "2"', 400)],
)
def test_if_match_forms(served: Served, tag: str, status: int) -> None:
    """A star matches, another tag does not, and what is no tag is a 400."""
    account = served.account()
    answer = served.admin.patch(
        f"/v1/accounts/{account['id']}", {"email": ""}, headers={"If-Match": tag}
    )

    assert answer.status == status


def test_rename(served: Served) -> None:
    """After a rename the new name signs in and the old one is free."""
    account = served.account()
    old, new = account["username"], name()
    answer = served.admin.patch(f"/v1/accounts/{account['id']}", {"username": new})

    assert answer.body["username"] == new
    assert served.client.login(new, PASSWORD)
    assert served.admin.post("/v1/accounts", {"username": old, "type": "human"}).status == 201


def test_change_refuses(served: Served) -> None:
    """Null is not a way to clear, and an unknown status is none."""
    path = f"/v1/accounts/{served.account()['id']}"

    for body in ({"email": None}, {"status": "deleted"}, {"status": None}, {"id": "x"}, [], 3):
        assert served.admin.patch(path, body).status == 400


def test_inactive(served: Served) -> None:
    """Switching off ends tokens and sign-in at once; switching on revives only the sign-in."""
    account, person = served.signed_in()
    path = f"/v1/accounts/{account['id']}"

    assert served.admin.patch(path, {"status": "inactive"}).body["status"] == "inactive"
    assert person.get("/v1/auth/me").status == 401
    refused = {"username": account["username"], "password": PASSWORD}
    assert served.client.post("/v1/auth/login", refused).status == 401
    served.admin.patch(path, {"status": "active"})
    assert person.get("/v1/auth/me").status == 401
    assert served.client.login(account["username"], PASSWORD)


def test_delete_and_restore(served: Served) -> None:
    """A deleted account keeps its name, and comes back with its roles but not its sessions."""
    account, person = served.signed_in("viewer")
    path = f"/v1/accounts/{account['id']}"

    assert served.admin.delete(path).status == 204
    assert served.admin.delete(path).status == 204
    assert person.get("/v1/auth/me").status == 401
    assert served.admin.get(path).body["status"] == "deleted"
    again = {"username": account["username"], "type": "human"}
    assert served.admin.post("/v1/accounts", again).status == 409
    restored = served.admin.post(f"{path}/restore")
    assert (restored.status, restored.body["roles"]) == (200, ["viewer"])
    assert served.admin.post(f"{path}/restore").status == 409
    assert person.get("/v1/auth/me").status == 401


def test_erase(served: Served) -> None:
    """Erasing needs the name as confirmation; afterwards no answer holds personal data."""
    account, person = served.signed_in()
    path = f"/v1/accounts/{account['id']}"
    wrong = served.admin.post(f"{path}/erase", {"confirm": "somebody"})

    assert wrong.status == 400
    assert served.admin.post(f"{path}/erase", {"confirm": account["username"]}).status == 204
    shown = served.admin.get(path)
    assert (shown.body["username"], shown.body["email"]) == (None, None)
    assert shown.body["status"] == "deleted"
    assert person.get("/v1/auth/me").status == 401
    for _ in range(100):  # every process forgets the key within seconds
        history = served.admin.get(f"/v1/audit?account={account['id']}").raw
        if account["username"].encode() not in history:
            break
        time.sleep(0.1)
    assert account["username"].encode() not in history
    past = served.admin.get(f"{path}?position={served.head()}")
    assert past.body["username"] is None


def test_history(served: Served) -> None:
    """The history tells in plain words what happened, newest first, to its owner too."""
    account, person = served.signed_in("viewer")

    mine = person.get(f"/v1/accounts/{account['id']}/history").body["items"]
    theirs = served.admin.get(f"/v1/accounts/{account['id']}/history?limit=2").body

    assert [one["position"] for one in mine] == sorted(
        (one["position"] for one in mine), reverse=True
    )
    assert "The role viewer was granted." in [one["text"] for one in mine]
    assert "Signed in." in [one["text"] for one in mine]
    assert len(theirs["items"]) == 2
    assert theirs["next"]


def test_set_password(served: Served) -> None:
    """A reset ends every session; the new password signs in and the old does not."""
    account, person = served.signed_in()
    path = f"/v1/accounts/{account['id']}/password"
    new = "copper violin drifts over nine hills"

    assert served.admin.put(path, {"password": "short"}).status == 400
    assert served.admin.put(path, {"password": new}).status == 204
    assert person.get("/v1/auth/me").status == 401
    old = {"username": account["username"], "password": PASSWORD}
    assert served.client.post("/v1/auth/login", old).status == 401
    assert served.client.login(account["username"], new)


def test_one_self(served: Served) -> None:
    """An account may read itself and nobody else, whether or not there is somebody."""
    account, person = served.signed_in()
    other = served.account()

    assert person.get(f"/v1/accounts/{account['id']}").status == 200
    assert person.get(f"/v1/accounts/{account['id']}/roles").status == 200
    assert person.get(f"/v1/accounts/{account['id']}/tokens").status == 200
    existing = person.get(f"/v1/accounts/{other['id']}", headers={"X-Request-Id": "same"})
    missing = person.get(f"/v1/accounts/{uuid.uuid4()}", headers={"X-Request-Id": "same"})
    assert (existing.status, existing.raw) == (403, missing.raw)
    assert existing.body["permission"] == "accounts.read"


def test_not_there(served: Served) -> None:
    """What is not there is a 404 on every verb."""
    path = f"/v1/accounts/{uuid.uuid4()}"
    admin: Client = served.admin

    assert admin.get(path).status == 404
    assert admin.patch(path, {"email": ""}).status == 404
    assert admin.delete(path).status == 404
    assert admin.post(f"{path}/restore").status == 404
    assert admin.post(f"{path}/unlock").status == 404
    assert admin.post(f"{path}/erase", {"confirm": "x"}).status == 404
    assert admin.put(f"{path}/password", {"password": PASSWORD}).status == 404
    assert admin.put(f"{path}/roles/viewer").status == 404
    assert admin.get(f"{path}/roles").status == 404
    assert admin.get(f"{path}/history").status == 404
    assert admin.get("/v1/accounts/not-a-uuid").status == 404


def test_self_lockout(served: Served) -> None:
    """Nobody shuts himself out by accident."""
    account, person = served.signed_in("operator")
    path = f"/v1/accounts/{account['id']}"

    refused = person.patch(path, {"status": "inactive"})

    assert (refused.status, person.delete(path).status) == (409, 409)
    assert refused.body["type"].endswith("/problems/self-lockout")


def test_operator_cannot_touch_an_administrator(served: Served) -> None:
    """Setting an administrator's password would make an administrator of anybody."""
    boss = served.account("admin")
    _, operator = served.signed_in("operator")

    refused = operator.put(f"/v1/accounts/{boss['id']}/password", {"password": PASSWORD})

    assert refused.status == 403
    assert operator.patch(f"/v1/accounts/{boss['id']}", {"status": "inactive"}).status == 403
    served.admin.delete(f"/v1/accounts/{boss['id']}")
