"""The route table against the running app: nothing undeclared is served, nothing is unguarded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import falcon
import pytest

from gatebook.api.app import METHODS, Resource, create_app
from gatebook.api.metrics import Metrics
from gatebook.api.route import Route
from gatebook.api.routes import MANAGEMENT, ROUTES
from gatebook.api.site import site_of
from gatebook.domain.permissions import CATALOGUE
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Answer, Client, Deployment, Served

FILLED = {"role": "viewer", "kid": "some-key", "position": "1"}
GUARDED = [route for route in ROUTES if route.need.kind != "public"]


def path_of(route: Route) -> str:
    """The path with something plausible in each place."""
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", FILLED.get(name) or str(uuid.UUID(int=7)))
    return path


def call(client: Client, route: Route, headers: dict[str, str] | None = None) -> Answer:
    return client.call(
        route.method,
        path_of(route),
        {} if route.body is not None else None,
        headers={"X-Request-Id": "walk"} | (headers or {}),
    )


@pytest.fixture
def house(deployment: Deployment) -> Iterator[House]:
    deployment.create(admin=False)
    opened = open_house(Settings.load(deployment.config, {}))
    yield opened
    opened.close()


def walked(app: falcon.App[Any, Any]) -> dict[str, Resource]:
    """What the app's own router serves: path to resource."""
    found = {}
    nodes = list(app._router._roots)
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.resource is not None:
            found[node.uri_template] = node.resource
    return found


@pytest.mark.parametrize("table", [ROUTES, MANAGEMENT])
def test_every_responder_is_declared(house: House, table: tuple[Route, ...]) -> None:
    """The app's router serves the table's methods on the table's paths, and nothing else."""
    site = site_of(house.settings, threads=1, address="127.0.0.1:1")
    app = create_app(house, site, table, Metrics(house))
    served = walked(app)

    assert {route.path for route in table} == set(served)
    assert app._sinks == []
    assert app._static_routes == []
    for path, resource in served.items():
        declared = {route.method for route in table if route.path == path}
        assert set(resource.responders) == declared
        responders = {
            m
            for m in METHODS
            if getattr(resource, f"on_{m.lower()}") in resource.responders.values()
        }
        assert responders == declared


def test_every_need_is_known() -> None:
    """Each route says what it needs, in words of the catalogue; own-routes name an account."""
    for route in ROUTES:
        if route.need.kind in ("permission", "own"):
            assert route.need.permission in CATALOGUE
        if route.need.kind == "own":
            assert "account_id" in route.parameters


def test_changes_are_not_public() -> None:
    """The public routes are these, and no other; whoever adds one changes this test."""
    assert sorted(f"{r.method} {r.path}" for r in ROUTES if r.need.kind == "public") == [
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
        "GET /.well-known/openid-configuration",
        "GET /auth/oidc/callback",
        "GET /auth/oidc/login",
        "GET /login",
        "GET /openapi.json",
        "GET /static/passkey.js",
        "GET /static/style.css",
        "GET /tlog/checkpoint",
        "GET /tlog/tile/{level}/{first}",
        "GET /tlog/tile/{level}/{first}/{second}",
        "GET /tlog/tile/{level}/{first}/{second}/{third}",
        "GET /tlog/tile/{level}/{first}/{second}/{third}/{fourth}",
        "GET /v1/audit/checkpoint",
        "GET /v1/audit/checkpoint/key",
        "GET /v1/audit/proof/consistency",
        "GET /v1/audit/proof/inclusion",
        "GET /v1/bootstrap",
        "GET /v1/health",
        "GET /v1/ready",
        "POST /auth/breakglass/login",
        "POST /auth/oidc/back-channel-logout",
        "POST /login",
        "POST /login/second-factor",
        "POST /logout",
        "POST /oauth2/introspect",
        "POST /oauth2/revoke",
        "POST /oauth2/token",
        "POST /v1/auth/login",
        "POST /v1/auth/mfa",
        "POST /v1/auth/passkeys/login/options",
        "POST /v1/auth/passkeys/login/verify",
        "POST /v1/auth/renew",
        "POST /v1/bootstrap",
        "POST /v1/token/validate",
    ]


def test_no_token(served: Served) -> None:
    """Every guarded route answers whoever has no token, or garbage, in one and the same way."""
    said = set()
    for route in GUARDED:
        for sent in ({}, {"Authorization": "Bearer garbage"}, {"Authorization": "Bearer a.b.c"}):
            answer = call(served.client, route, sent)
            assert answer.status == 401, route.path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            said.add(answer.raw)
    assert len(said) == 1


def test_no_permission(served: Served) -> None:
    """Every route that needs a permission tells whoever lacks it which, and nothing else."""
    _, person = served.signed_in()
    for route in GUARDED:
        if route.need.kind == "signed":
            continue
        answer = call(person, route)
        assert answer.status == 403, route.path
        assert set(answer.body) == {
            "type",
            "title",
            "status",
            "detail",
            "request_id",
            "permission",
        }
        assert answer.body["permission"] == route.need.permission
        assert answer.body["detail"] == f"This needs the permission {route.need.permission}."


def test_no_refused_call_leaves_an_event(served: Served) -> None:
    """Nothing of all that was in the log."""
    _, person = served.signed_in()
    before = served.head()
    for route in GUARDED:
        call(served.client, route)
        if route.need.kind != "signed":
            call(person, route)
    assert served.head() == before


def test_document_has_every_route(served: Served) -> None:
    """The served document lists the same routes, with the same needs."""
    paths = json.loads(served.client.get("/openapi.json").raw)["paths"]

    documented = {
        (method.upper(), path): operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert set(documented) == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = documented[route.method, route.path]
        assert operation["security"] == ([] if route.need.kind == "public" else [{"bearer": []}])
        assert operation.get("x-permission", "") == route.need.permission
