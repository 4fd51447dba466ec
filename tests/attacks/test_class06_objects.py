"""Class 6, access to the objects of others.

Zitadel CVE-2025-27507, -64431, CVE-2026-33132, -55670; OpenBao CVE-2026-40264, -45808; SuperTokens
CVE-2026-123800, -123797; step-ca CVE-2025-66406; Casdoor CVE-2026-9094.
"""

from __future__ import annotations

from typing import Any

from gatebook.api.route import Route
from gatebook.api.routes import ROUTES
from tests.api.served import Client, Served

NOBODY = "01890000-0000-4000-8000-000000000000"


def path_of(route: Route, **values: str) -> str:
    named = {"role": "viewer", "kid": "nokey", "position": "1"}
    return route.path.format_map(dict.fromkeys(route.parameters, NOBODY) | named | values)


def ask(client: Client, route: Route, **values: str) -> Any:
    body: dict[str, Any] | None = None if route.body is None else {}
    return client.call(route.method, path_of(route, **values), body)


def test_the_least_account_reaches_nothing_of_others(served: Served) -> None:
    """Every route that needs a permission is 403 for an account without any, whatever it names."""
    _, client = served.signed_in()
    victim = served.account("viewer")
    tried = 0
    for route in ROUTES:
        if route.need.kind not in ("own", "permission"):
            continue
        for account_id in (victim["id"], NOBODY):
            answer = ask(client, route, account_id=account_id)
            assert answer.status == 403, (route.method, route.path, answer.raw)
            assert answer.body["permission"] == route.need.permission
            tried += 1
    assert tried > 50


def test_what_is_there_and_what_is_not_look_alike(served: Served) -> None:
    """A caller without the permission cannot tell an account that exists from one that does not."""
    _, client = served.signed_in()
    victim = served.account()
    for route in ROUTES:
        if "account_id" not in route.parameters:
            continue
        there = ask(client, route, account_id=victim["id"])
        absent = ask(client, route, account_id=NOBODY)
        for answer in (there, absent):
            answer.headers.replace_header("X-Request-Id", "-")
            answer.headers.replace_header("Date", "-")
        assert there.status == absent.status, route.path
        assert there.headers.items() == absent.headers.items(), route.path
        assert {**there.body, "request_id": ""} == {**absent.body, "request_id": ""}, route.path


def test_each_permission_opens_its_own_routes_only(served: Served) -> None:
    """An account with one permission passes the routes that name it, and is 403 at the others."""
    others = [route for route in ROUTES if route.need.kind == "permission"]
    for permission in ("accounts.read", "tokens.read", "keys.read", "audit.read"):
        role = f"only-{permission}"
        body = {"permissions": [permission]}
        assert served.admin.put(f"/v1/roles/{role}", body).status in (200, 201)
        _, client = served.signed_in(role)
        for route in others:
            if route.path == "/v1/audit/feed":
                continue
            refused = ask(client, route).status == 403
            assert refused == (route.need.permission != permission), (permission, route.path)


def test_own_things_are_own(served: Served) -> None:
    """What is one's own without a permission is that, and nothing beside it."""
    account, client = served.signed_in()
    mine = f"/v1/accounts/{account['id']}"
    for part in ("", "/history", "/roles", "/tokens", "/sessions"):
        assert client.get(mine + part).status == 200, part
    assert client.patch(mine, {"display_name": "Me"}).status == 403
    assert client.put(f"{mine}/roles/viewer").status == 403
    assert client.put(f"{mine}/password", {"password": "x" * 20}).status == 403
    assert client.delete(mine).status == 403
    entries = client.get(f"{mine}/history").body["items"]
    assert {entry["type"] for entry in entries} >= {"account.created", "login.succeeded"}
