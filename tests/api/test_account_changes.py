"""Accounts over HTTP: change, switch off, delete, restore, erase, and who may not."""

from __future__ import annotations

import time
import uuid

import pytest

from tests.api.served import PASSWORD, Client, Served


def name() -> str:
    return f"n-{uuid.uuid4().hex[:12]}"


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
