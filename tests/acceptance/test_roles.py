"""parity.md E21 to E28: roles, and who may do what."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from gatebook.api.routes import ROUTES
from gatebook.domain.permissions import BUILT_IN, CATALOGUE

NOWHERE = "00000000-0000-4000-8000-000000000000"


def path_of(route):
    """A path of a route, with ids that exist nowhere."""
    path = route.path
    for name in route.parameters:
        value = {"role": "viewer", "kid": "nokey", "position": "1"}.get(name, NOWHERE)
        path = path.replace("{" + name + "}", value)
    return path


def test_e21_e26_every_gated_route_asks_first(served):
    """E21: without a token 401; with one that lacks the permission 403, before the body is read."""
    _account, nobody = served.signed_in()
    checked = 0
    for route in ROUTES:
        if route.need.kind == "public":
            continue
        path = path_of(route)
        anonymous = served.client.call(route.method, path, raw=b"{")
        assert anonymous.status == 401, (route.method, path)
        assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")
        if route.need.kind != "signed":
            answer = nobody.call(route.method, path, raw=b"{")
            assert answer.status == 403, (route.method, path)
            assert answer.body["type"].endswith("forbidden")
            assert route.need.permission in answer.body["detail"]
        checked += 1
    assert checked > 25


def test_e22_nobody_grants_what_he_does_not_hold(served):
    """E22: neither to himself nor into a role; the attempt is refused and recorded."""
    granter = f"granter-{time.monotonic_ns()}"
    body = {"permissions": ["roles.grant", "roles.write", "roles.read"], "description": ""}
    assert served.admin.put(f"/v1/roles/{granter}", body).status == 201
    account, client = served.signed_in(granter)
    own = f"/v1/accounts/{account['id']}/roles"

    assert client.put(f"{own}/admin").status == 403
    assert client.put(f"{own}/auditor").status == 403
    wider = {"permissions": [*body["permissions"], "keys.write"], "description": ""}
    assert client.put(f"/v1/roles/{granter}", wider).status == 403
    assert client.put("/v1/roles/new-role", wider).status == 403

    me = client.get("/v1/auth/me").body
    assert sorted(me["permissions"]) == sorted(body["permissions"])
    denied = served.events(f"&type=access.denied&account={account['id']}")
    assert [event["data"]["action"] for event in denied] == [
        "role.grant",
        "role.grant",
        "role.define",
        "role.define",
    ]
    narrower = {"permissions": ["roles.read"], "description": ""}
    assert client.put(f"/v1/roles/sub-{granter}", narrower).status == 201
    other = served.account()
    assert client.put(f"/v1/accounts/{other['id']}/roles/sub-{granter}").status == 204


def test_an_operator_cannot_become_admin_through_an_admin(served):
    """Whoever may set passwords may not set that of somebody who may do more."""
    _operator, client = served.signed_in("operator")
    boss = served.account("admin")
    path = f"/v1/accounts/{boss['id']}"
    new = {"password": "a brand new password 77"}
    assert client.put(f"{path}/password", new).status == 403
    assert client.patch(path, {"status": "inactive"}).status == 403
    assert client.delete(path).status == 403
    assert client.patch(path, {"email": "me@example.org"}).status == 403
    robot = served.account("admin", kind="system")
    assert client.post("/v1/token/issue", {"account_id": robot["id"]}).status == 403
    plain = served.account()
    assert client.put(f"/v1/accounts/{plain['id']}/password", new).status == 204


def test_e23_the_last_admin_stays(fresh):
    """E23: revoke, deactivate, delete, make it temporary: 409 while nobody else holds admin."""
    with fresh.served() as server:
        [boss] = server.admin.get("/v1/accounts?role=admin").body["items"]
        second, other = server.signed_in("admin")
        path = f"/v1/accounts/{boss['id']}"
        later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert server.admin.delete(f"/v1/accounts/{second['id']}/roles/admin").status == 204
        deputy, client = server.signed_in("operator")
        temporary = f"/v1/accounts/{deputy['id']}/roles/admin?expires_at={later}"
        assert server.admin.put(temporary).status == 204
        for method, target, body in (
            ("DELETE", f"{path}/roles/admin", None),
            ("PATCH", path, {"status": "inactive"}),
            ("DELETE", path, None),
            ("PUT", f"{path}/roles/admin?expires_at={later}", None),
        ):
            answer = client.call(method, target, body)
            assert answer.status == 409, (method, target, answer.raw)
            assert answer.body["type"].endswith("last-admin")
        assert server.admin.put(f"/v1/accounts/{second['id']}/roles/admin").status == 204
        assert other.delete(f"{path}/roles/admin").status == 204


def test_e24_a_grant_ends_by_itself(served):
    """E24: a grant for two seconds counts, and then does not, without anybody doing anything."""
    account, client = served.signed_in()
    until = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    path = f"/v1/accounts/{account['id']}/roles/viewer?expires_at={until}"
    assert served.admin.put(path).status == 204
    assert client.get("/v1/accounts").status == 200
    time.sleep(2.1)
    assert client.get("/v1/accounts").status == 403
    assert client.get("/v1/auth/me").body["account"]["roles"] == []


def test_e26_an_auditor_reads_everything_and_changes_nothing(served):
    """E26: live permissions are exactly the contract's; every changing route is 403."""
    account, client = served.signed_in("auditor")
    live = set(client.get("/v1/auth/me").body["permissions"])
    assert live == {name for name in CATALOGUE if name.endswith(".read")}
    for route in ROUTES:
        if route.need.kind not in ("permission", "own"):
            continue
        answer = client.call(route.method, path_of(route), raw=b"" if route.body is None else b"{}")
        if route.method == "GET" and route.need.permission.endswith(".read"):
            questions = ("/v1/audit/explain", "/v1/audit/diff")  # which have to be asked in full
            assert answer.status in (200, 404) or route.path in questions, (route.path, answer.raw)
            assert answer.status != 403, route.path
        elif route.path == "/v1/audit/exports":
            assert answer.status == 400, answer.raw  # taking a copy is reading, and recorded
        else:
            assert answer.status == 403, (route.method, route.path)
    assert client.get(f"/v1/audit?account={account['id']}").status == 200
    assert client.post("/v1/audit/exports", {"format": "jsonl"}).status == 201


def test_built_in_roles_are_live_as_the_contract_has_them(served):
    """The roles that the running system answers with are those of the catalogue."""
    items = served.admin.get("/v1/roles?limit=500").body["items"]
    live = {item["name"]: set(item["permissions"]) for item in items if item["built_in"]}
    assert live == {name: set(permissions) for name, (permissions, _text) in BUILT_IN.items()}
    for name in BUILT_IN:
        assert served.admin.put(f"/v1/roles/{name}", {"permissions": []}).status == 409
        assert served.admin.delete(f"/v1/roles/{name}").status == 409


def test_e28_nobody_shuts_himself_out(served):
    """E28: deactivating or deleting oneself is 409; another's sessions die in the same append."""
    me, client = served.signed_in("admin")
    other, theirs = served.signed_in("viewer")
    own = f"/v1/accounts/{me['id']}"
    assert client.patch(own, {"status": "inactive"}).status == 409
    assert client.delete(own).status == 409
    assert client.post(f"{own}/erase", {"confirm": me["username"]}).status == 409
    assert theirs.get("/v1/auth/me").status == 200
    assert client.patch(f"/v1/accounts/{other['id']}", {"status": "inactive"}).status == 200
    assert theirs.get("/v1/auth/me").status == 401
