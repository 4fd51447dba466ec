"""Class 7, from delegated administrator to superuser.

Keycloak CVE-2025-7784, CVE-2026-9795, -4629, -94000, -94001, -14613 to -14615; Vault and OpenBao
CVE-2024-9180, CVE-2025-5999, CVE-2025-64761.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from gatebook.domain.permissions import CATALOGUE
from tests.api.served import Answer, Client, Deployment, Served
from tests.attacks.tools import at_once

NEW = "taken over by mallory 77"


def role_with(served: Served, name: str, *permissions: str) -> str:
    answer = served.admin.put(f"/v1/roles/{name}", {"permissions": list(permissions)})
    assert answer.status in (200, 201), answer.raw
    return name


def permissions_of(client: Client) -> set[str]:
    return set(client.get("/v1/auth/me").body["permissions"])


def test_an_operator_takes_over_nobody_above_him(served: Served) -> None:
    """Password, status, name, deletion, erasure, roles and tokens of an admin are out of reach."""
    _, client = served.signed_in("operator")
    admin = served.account("admin")
    machine = served.account("admin", kind="system")
    path = f"/v1/accounts/{admin['id']}"

    assert client.put(f"{path}/password", {"password": NEW}).status == 403
    assert client.patch(path, {"username": "taken-over"}).status == 403
    assert client.patch(path, {"email": "m@example.org"}).status == 403
    assert client.patch(path, {"status": "inactive"}).status == 403
    assert client.delete(path).status == 403
    assert client.post(f"{path}/restore", {}).status == 403
    assert client.post(f"{path}/erase", {"confirm": admin["username"]}).status == 403
    assert client.post(f"{path}/unlock", {}).status == 403
    assert client.delete(f"{path}/roles/admin").status == 403
    assert client.post("/v1/token/issue", {"account_id": machine["id"]}).status == 403
    assert served.token(admin["username"])


def test_an_operator_ends_nothing_of_those_above_him(served: Served) -> None:
    """He who could keep every admin out would be above them."""
    operator, client = served.signed_in("operator")
    admin, admins = served.signed_in("admin")
    below, belows = served.signed_in("viewer")
    path = f"/v1/accounts/{admin['id']}"
    session = admins.get("/v1/auth/sessions").body["items"][0]["id"]
    jti = admins.get(f"{path}/tokens").body["items"][0]["jti"]

    assert client.delete(f"/v1/token/{jti}").status == 403
    assert client.delete(f"{path}/sessions/{session}").status == 403
    assert client.delete(f"{path}/tokens").status == 403
    assert admins.get("/v1/auth/me").status == 200
    assert client.delete(f"/v1/accounts/{below['id']}/tokens").status == 204
    assert belows.get("/v1/auth/me").status == 401
    assert client.delete(f"/v1/accounts/{operator['id']}/tokens").status == 204
    assert client.get("/v1/auth/me").status == 401


@pytest.mark.parametrize("state", ["inactive", "deleted"])
def test_an_admin_who_is_off_stays_out_of_reach(served: Served, state: str) -> None:
    """Neither brought back nor given another password by an operator."""
    _, client = served.signed_in("operator")
    admin = served.account("admin")
    path = f"/v1/accounts/{admin['id']}"
    if state == "deleted":
        assert served.admin.delete(path).status == 204
    else:
        assert served.admin.patch(path, {"status": "inactive"}).status == 200

    assert client.post(f"{path}/restore", {}).status == 403
    assert client.patch(path, {"status": "active"}).status == 403
    assert client.put(f"{path}/password", {"password": NEW}).status == 403


def test_roles_are_no_way_up(served: Served) -> None:
    """Who may define and grant roles gives nothing that he does not hold."""
    mine = role_with(served, "role-smith", "roles.read", "roles.write", "roles.grant")
    above = role_with(served, "above-smith", "audit.read")
    mallory, client = served.signed_in(mine)
    me = f"/v1/accounts/{mallory['id']}/roles"

    for name in ("admin", "operator", "auditor", "viewer", above):
        assert client.put(f"{me}/{name}").status == 403, name
    for permission in sorted(CATALOGUE.keys() - {"roles.read", "roles.write", "roles.grant"}):
        body = {"permissions": ["roles.read", permission]}
        assert client.put("/v1/roles/smiths-own", body).status == 403
        assert client.put(f"/v1/roles/{mine}", body).status == 403
    assert client.put(f"/v1/roles/{above}", {"permissions": []}).status == 403
    assert client.delete(f"/v1/roles/{above}").status == 403
    for name in ("admin", "operator", "auditor", "viewer"):
        assert client.put(f"/v1/roles/{name}", {"permissions": []}).status == 409
        assert client.delete(f"/v1/roles/{name}").status == 409
    for name in ("Admin", "ADMIN", "admin ", "ádmin", "admin\0", "ADMİN", "\uff41dmin"):
        assert client.put(f"{me}/{quote(name)}").status in (400, 404), name
    assert permissions_of(client) == {"roles.read", "roles.write", "roles.grant"}


def test_a_role_widened_by_its_holder(served: Served) -> None:
    """A role held by oneself cannot be redefined beyond oneself, in however many steps."""
    mine = role_with(served, "widening", "roles.write")
    _, client = served.signed_in(mine)

    assert client.put(f"/v1/roles/{mine}", {"permissions": []}).status == 200
    assert permissions_of(client) == set()
    assert client.put(f"/v1/roles/{mine}", {"permissions": ["roles.write"]}).status == 403


def test_a_role_defined_anew_is_not_held_by_the_old_holders(served: Served) -> None:
    """Deleting a role and defining another of its name gives nobody what he was never granted."""
    name = role_with(served, "born-again", "accounts.read")
    bob = served.account(name)
    path = f"/v1/accounts/{bob['id']}"
    assert served.admin.delete(path).status == 204
    if served.admin.delete(f"/v1/roles/{name}").status == 409:
        assert served.admin.post(f"{path}/restore", {}).status == 200
        return  # a deleted holder counts: that mends it too
    assert served.admin.post(f"{path}/restore", {}).status == 200
    role_with(served, name, "accounts.write", "credentials.write")

    client = served.client.with_token(served.token(bob["username"]))
    assert permissions_of(client) == set()
    assert served.admin.get(path).body["roles"] == []


def _status(deeds: Sequence[Callable[[], Answer]], number: int) -> int:
    return deeds[number]().status


def test_grant_races_delete(served: Served) -> None:
    """A grant that races the role's deletion: whoever holds it in the end, no name outlives it."""
    for number in range(12):
        name = role_with(served, f"raced-{number}", "accounts.read")
        bob = served.account()
        path = f"/v1/accounts/{bob['id']}"
        deeds = (
            partial(served.admin.put, f"{path}/roles/{name}"),
            partial(served.admin.delete, f"/v1/roles/{name}"),
        )
        granted, deleted = at_once(2, partial(_status, deeds))

        assert {granted, deleted} <= {204, 400, 409}
        if deleted == 204:
            again = {"permissions": ["keys.read"]}
            assert served.admin.put(f"/v1/roles/{name}", again).status == 201
            assert served.admin.get(f"{path}/roles").body["items"] == []


def test_a_grant_does_not_outlast_the_granter(served: Served) -> None:
    """Who is admin for an hour makes nobody, himself included, admin for ever."""
    mallory, friend = served.account(), served.account()
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = f"/v1/accounts/{mallory['id']}/roles/admin?expires_at={until}"
    assert served.admin.put(path).status == 204
    client = served.client.with_token(served.token(mallory["username"]))

    for account in (mallory, friend):
        roles = f"/v1/accounts/{account['id']}/roles"
        assert client.put(f"{roles}/admin").status == 403
        assert client.put(f"{roles}/viewer").status == 403
        assert client.put(f"{roles}/admin?expires_at={later}").status == 403
    roles = f"/v1/accounts/{friend['id']}/roles"
    assert client.put(f"{roles}/viewer?expires_at={until}").status == 204


def test_a_definition_does_not_outlast_the_definer(served: Served) -> None:
    """Nor does an admin for an hour put what that gives him into a role that is held for ever."""
    mine = role_with(served, "for-ever", "accounts.read")
    mallory = served.account(mine)
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = f"/v1/accounts/{mallory['id']}/roles/admin?expires_at={until}"
    assert served.admin.put(path).status == 204
    client = served.client.with_token(served.token(mallory["username"]))

    wanted = {"permissions": ["accounts.read", "accounts.write", "roles.grant"]}
    assert client.put(f"/v1/roles/{mine}", wanted).status == 403
    assert client.put("/v1/roles/another-for-ever", wanted).status == 403


def test_if_match_on_roles(served: Served) -> None:
    """A role answers with an ETag, so a write that names another version is 412."""
    name = role_with(served, "versioned", "accounts.read")
    assert served.admin.get(f"/v1/roles/{name}").headers["ETag"]
    stale = {"If-Match": '"99"'}

    body: dict[str, Any] = {"permissions": []}
    assert served.admin.put(f"/v1/roles/{name}", body, headers=stale).status == 412
    assert served.admin.delete(f"/v1/roles/{name}", headers=stale).status == 412


class Walk:
    """Random commands of one actor; keeps account of whose credentials he knows."""

    def __init__(self, served: Served, client: Client, seed: int) -> None:
        self.served, self.client, self.random = served, client, random.Random(seed)
        pool = ((), ("viewer",), ("operator",), ("auditor",), ("admin",))
        self.accounts = [served.account(*roles) for roles in pool]
        self.accounts += [served.account(*roles, kind="system") for roles in pool]
        self.known: dict[str, str] = {}
        self.tokens: list[str] = []
        self.made = 0

    def step(self) -> None:
        deeds = (self.password, self.status, self.grant, self.revoke, self.define, self.undefine)
        self.random.choice((*deeds, self.issue, self.create, self.rename, self.remove))()

    def _one(self) -> Any:
        return self.random.choice(self.accounts)

    def _role(self) -> str:
        return self.random.choice(("admin", "operator", "auditor", "viewer", "walk-a", "walk-b"))

    def password(self) -> None:
        account = self._one()
        path = f"/v1/accounts/{account['id']}/password"
        if self.client.put(path, {"password": NEW}).status == 204:
            self.known[account["id"]] = account["username"]

    def status(self) -> None:
        status = self.random.choice(("active", "inactive"))
        self.client.patch(f"/v1/accounts/{self._one()['id']}", {"status": status})

    def remove(self) -> None:
        path = f"/v1/accounts/{self._one()['id']}"
        self.client.delete(path)
        if self.random.random() < 0.7:
            self.client.post(f"{path}/restore", {})

    def grant(self) -> None:
        self.client.put(f"/v1/accounts/{self._one()['id']}/roles/{self._role()}")

    def revoke(self) -> None:
        self.client.delete(f"/v1/accounts/{self._one()['id']}/roles/{self._role()}")

    def define(self) -> None:
        some = self.random.sample(sorted(CATALOGUE), self.random.randint(0, 3))
        self.client.put(f"/v1/roles/{self._role()}", {"permissions": some})

    def undefine(self) -> None:
        self.client.delete(f"/v1/roles/{self._role()}")

    def issue(self) -> None:
        answer = self.client.post("/v1/token/issue", {"account_id": self._one()["id"]})
        if answer.status == 201:
            self.tokens.append(answer.body["access_token"])

    def create(self) -> None:
        self.made += 1
        name = f"walker-{self.made}-{self.random.randint(0, 10**9)}"
        body = {"username": name, "type": "human", "password": NEW}
        answer = self.client.post("/v1/accounts", body)
        if answer.status == 201:
            self.accounts.append(answer.body)
            self.known[answer.body["id"]] = name

    def rename(self) -> None:
        account = self._one()
        name = f"renamed-{self.random.randint(0, 10**9)}"
        if self.client.patch(f"/v1/accounts/{account['id']}", {"username": name}).status == 200:
            account["username"] = name
            if account["id"] in self.known:
                self.known[account["id"]] = name

    def reached(self) -> set[str]:
        """Every permission that one of the credentials he knows has now."""
        found: set[str] = set(permissions_of(self.client))
        for token in self.tokens:
            answer = self.served.client.with_token(token).get("/v1/auth/me")
            if answer.status == 200:
                found |= set(answer.body["permissions"])
        for username in self.known.values():
            body = {"username": username, "password": NEW}
            answer = self.served.client.post("/v1/auth/login", body)
            if answer.status == 200:
                token = answer.body["access_token"]
                found |= permissions_of(self.served.client.with_token(token))
        return found


WALKERS = {
    "operator": ("operator",),
    "keeper": ("accounts.read", "accounts.write", "credentials.write", "roles.grant"),
    "smith": ("roles.read", "roles.write", "roles.grant", "tokens.issue", "accounts.write"),
}


@pytest.mark.parametrize("name", WALKERS)
def test_no_walk_leads_up(served: Served, name: str) -> None:
    """However an actor combines what he may do, what he reaches is what he held at first."""
    held = WALKERS[name]
    role = held[0] if name == "operator" else role_with(served, f"walker-{name}", *held)
    _, client = served.signed_in(role)
    before = permissions_of(client)
    walk = Walk(served, client, seed=len(name))
    for _ in range(250):
        walk.step()

    assert walk.reached() <= before
    for role_name in ("walk-a", "walk-b"):
        served.admin.delete(f"/v1/roles/{role_name}")


def test_the_last_admin_stays(own: Deployment) -> None:
    """No way of leaving the deployment without an admin, by himself or by an equal."""
    with own.served() as server:
        me = server.admin.get("/v1/auth/me").body["account"]["id"]
        everything = role_with(server, "everything", *CATALOGUE)
        _, equal = server.signed_in(everything)
        path = f"/v1/accounts/{me}"
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for client in (server.admin, equal):
            assert client.patch(path, {"status": "inactive"}).status == 409
            assert client.delete(path).status == 409
            assert client.post(f"{path}/erase", {"confirm": "first-admin"}).status == 409
            assert client.delete(f"{path}/roles/admin").status == 409
            assert client.put(f"{path}/roles/admin?expires_at={until}").status == 409
        assert server.client.login("first-admin", "salty otter juggles nine lamps")
