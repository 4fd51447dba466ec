"""Roles over HTTP: define, grant, revoke, and what nobody may give away."""

from __future__ import annotations

import time
import uuid

import pytest

from gatebook.domain.permissions import BUILT_IN, CATALOGUE
from tests.api.served import Served


def fresh() -> str:
    return f"r{uuid.uuid4().hex[:10]}"


def test_catalogue(served: Served) -> None:
    """Any account may read the whole catalogue, page by page."""
    _, person = served.signed_in()
    first = person.get("/v1/permissions?limit=10").body
    rest = person.get(f"/v1/permissions?limit=500&after={first['next']}").body

    assert {one["name"]: one["description"] for one in first["items"] + rest["items"]} == CATALOGUE


def test_built_in_roles(served: Served) -> None:
    """The built-in roles are listed, and cannot be changed or deleted."""
    listed = {one["name"]: one for one in served.admin.get("/v1/roles?limit=500").body["items"]}

    for name, (permissions, _) in BUILT_IN.items():
        assert listed[name]["built_in"]
        assert set(listed[name]["permissions"]) == permissions
        assert served.admin.put(f"/v1/roles/{name}", {"permissions": []}).status == 409
        assert served.admin.delete(f"/v1/roles/{name}").status == 409


def test_define_and_delete(served: Served) -> None:
    """A custom role is made, redefined, refused deletion while held, and deleted."""
    name = fresh()
    path = f"/v1/roles/{name}"
    account = served.account()

    made = served.admin.put(path, {"permissions": ["accounts.read"], "description": "One."})
    changed = served.admin.put(path, {"permissions": ["roles.read", "accounts.read"]})
    assert (made.status, changed.status) == (201, 200)
    assert served.admin.get(path).body["permissions"] == ["accounts.read", "roles.read"]
    served.admin.put(f"/v1/accounts/{account['id']}/roles/{name}")
    assert served.admin.delete(path).status == 409
    served.admin.delete(f"/v1/accounts/{account['id']}/roles/{name}")
    assert served.admin.delete(path).status == 204
    assert served.admin.get(path).status == 404
    assert served.admin.delete(path).status == 404


@pytest.mark.parametrize("name", ["UPPER", "1x", "a" * 64, "a%20b", "%C3%A4", "a%2Fb", "a;b"])
def test_bad_names(served: Served, name: str) -> None:
    """What cannot be a role's name is refused, and there is none of that name."""
    assert served.admin.put(f"/v1/roles/{name}", {"permissions": []}).status in (400, 404)
    assert served.admin.get(f"/v1/roles/{name}").status == 404


def test_unknown_permission(served: Served) -> None:
    """A role is made of permissions in the catalogue only."""
    answer = served.admin.put(f"/v1/roles/{fresh()}", {"permissions": ["accounts.fly"]})

    assert (answer.status, answer.body["errors"][0]["pointer"]) == (400, "/permissions")


def test_grant_twice(served: Served) -> None:
    """Granting again is a 204 that appends nothing."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}/roles/viewer"
    first = served.admin.put(path)
    before = served.head()

    assert (first.status, served.admin.put(path).status) == (204, 204)
    assert served.head() == before
    assert served.admin.get(path).body == {"role": "viewer", "expires_at": None}


def test_grant_what_is_not(served: Served) -> None:
    """A role that does not exist cannot be granted; one that is not held can be revoked."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}/roles"

    assert served.admin.put(f"{path}/{fresh()}").status == 400
    assert served.admin.delete(f"{path}/viewer").status == 204
    assert served.admin.get(f"{path}/viewer").status == 404


def test_grant_counts_at_once_and_ends_by_itself(served: Served) -> None:
    """A grant counts for the tokens there are, from its answer on, until its time."""
    account, person = served.signed_in()
    until = time.time() + 1.5
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until))
    stamp += f".{int(until % 1 * 1e6):06d}Z"
    path = f"/v1/accounts/{account['id']}/roles/viewer?expires_at={stamp}"

    assert person.get("/v1/accounts").status == 403
    assert served.admin.put(path).status == 204
    assert person.get("/v1/accounts").status == 200
    time.sleep(max(0.0, until - time.time()) + 0.05)
    assert person.get("/v1/accounts").status == 403
    assert person.get("/v1/auth/me").body["roles"] == []


def test_grant_in_the_past(served: Served) -> None:
    """A grant that has ended before it begins is a 400."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}/roles/viewer?expires_at=2020-01-01T00:00:00Z"

    assert served.admin.put(path).status == 400


def test_nobody_gives_what_he_lacks(served: Served) -> None:
    """Granting or defining beyond one's own permissions is a 403, and an event against him."""
    role = fresh()
    grants = {"permissions": ["roles.grant", "roles.write", "roles.read"]}
    served.admin.put(f"/v1/roles/{role}", grants)
    account, person = served.signed_in(role)

    own = person.put(f"/v1/accounts/{account['id']}/roles/admin")
    defined = person.put(f"/v1/roles/{fresh()}", {"permissions": ["accounts.erase"]})
    widened = person.put(f"/v1/roles/{role}", {"permissions": ["audit.read", "roles.write"]})

    assert (own.status, defined.status, widened.status) == (403, 403, 403)
    assert defined.body["permission"] == "accounts.erase"
    denied = served.events(f"&account={account['id']}&type=access.denied")
    assert [one["data"]["action"] for one in denied] == ["role.grant", "role.define", "role.define"]


def test_auditor_reads_everything_and_changes_nothing(served: Served) -> None:
    """The auditor's reads succeed and every change is a 403."""
    other = served.account()
    _, auditor = served.signed_in("auditor")

    for path in ("/v1/audit", "/v1/accounts", "/v1/roles", "/v1/keys", "/metrics"):
        assert auditor.get(path).status == 200
    assert auditor.post("/v1/accounts", {"username": fresh(), "type": "human"}).status == 403
    assert auditor.delete(f"/v1/accounts/{other['id']}").status == 403
    assert auditor.post("/v1/keys").status == 403
    assert auditor.delete(f"/v1/accounts/{other['id']}/tokens").status == 403


def test_permission_comes_before_the_body(served: Served) -> None:
    """Whoever lacks the permission learns nothing about his body."""
    _, person = served.signed_in()

    assert person.post("/v1/accounts", raw=b"{broken").status == 403
    assert person.get("/v1/accounts?limit=0").status == 403
