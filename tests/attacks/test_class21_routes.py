"""Class 21, a privileged route without authentication.

better-auth CVE-2025-61928; Casdoor CVE-2025-4210, CVE-2026-9090; step-ca CVE-2026-30836.
"""

from __future__ import annotations

import json

import pytest

from gatebook.api.routes import ROUTES
from tests.api.served import Served
from tests.attacks.test_class06_objects import ask, path_of
from tests.attacks.tools import raw

PUBLIC = {
    ("GET", "/v1/health"),
    ("GET", "/v1/ready"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/openapi.json"),
    ("GET", "/auth/oidc/callback"),
    ("GET", "/auth/oidc/login"),
    ("GET", "/login"),
    ("GET", "/static/passkey.js"),
    ("GET", "/static/style.css"),
    ("GET", "/tlog/checkpoint"),
    ("GET", "/tlog/tile/{level}/{first}"),
    ("GET", "/tlog/tile/{level}/{first}/{second}"),
    ("GET", "/tlog/tile/{level}/{first}/{second}/{third}"),
    ("GET", "/tlog/tile/{level}/{first}/{second}/{third}/{fourth}"),
    ("GET", "/v1/audit/checkpoint"),
    ("GET", "/v1/audit/checkpoint/key"),
    ("GET", "/v1/audit/proof/consistency"),
    ("GET", "/v1/audit/proof/inclusion"),
    ("POST", "/auth/breakglass/login"),
    ("POST", "/auth/oidc/back-channel-logout"),
    ("POST", "/login"),
    ("POST", "/login/second-factor"),
    ("POST", "/logout"),
    ("POST", "/oauth2/introspect"),
    ("POST", "/oauth2/revoke"),
    ("POST", "/oauth2/token"),
    ("POST", "/v1/auth/login"),
    ("POST", "/v1/auth/mfa"),
    ("POST", "/v1/auth/passkeys/login/options"),
    ("POST", "/v1/auth/passkeys/login/verify"),
    ("POST", "/v1/auth/renew"),
    ("GET", "/v1/bootstrap"),
    ("POST", "/v1/bootstrap"),
    ("POST", "/v1/token/validate"),
}
"""All that a stranger may call. A new one belongs here only after a thought."""

ELSEWHERE = (
    "/admin",
    "/v1/admin",
    "/debug",
    "/.env",
    "/v1",
    "/",
    "/docs",
    "/static/",
    "/v2/health",
)


def test_who_may_call_without_a_token(served: Served) -> None:
    """Everything served but not on the list is 401 for a stranger, body and all."""
    assert {(route.method, route.path) for route in ROUTES if route.need.kind == "public"} == PUBLIC
    for route in ROUTES:
        if (route.method, route.path) in PUBLIC:
            continue
        answer = ask(served.client, route)
        assert answer.status == 401, (route.method, route.path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.body["type"].endswith("/unauthenticated")


def test_the_document_tells_the_same(served: Served) -> None:
    """What OpenAPI calls open is what is open."""
    document = json.loads(served.client.get("/openapi.json").raw)
    described = {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in ("get", "put", "post", "patch", "delete")
    }
    assert set(described) == {(route.method, route.path) for route in ROUTES}
    unguarded = {key for key, operation in described.items() if not operation.get("security")}
    assert unguarded - {key for key in described if document.get("security")} <= PUBLIC


def test_other_methods(served: Served) -> None:
    """A method that is not declared is 405 before anything else, and does nothing."""
    before = served.head()
    paths = {route.path: path_of(route) for route in ROUTES}
    for template, path in paths.items():
        declared = {route.method for route in ROUTES if route.path == template}
        for method in ("HEAD", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "PUT", "DELETE", "POST"):
            if method in declared:
                continue
            answer = served.admin.call(method, path)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == declared
    assert served.head() == before


@pytest.mark.parametrize("path", ELSEWHERE)
def test_elsewhere(served: Served, path: str) -> None:
    """What is not in the table is not there."""
    assert served.client.get(path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audit/",
        "//v1/audit",
        "/v1//audit",
        "/v1/./audit",
        "/v1/../v1/audit",
        "/v1/%2e%2e/v1/audit",
        "/V1/AUDIT",
        "/v1/audit;x=1",
        "/v1/audit%00",
        "/v1/audit%20",
        "/v1%2Faudit",
        "/%76%31/audit",
        "/v1/audit.json",
        "/v1/health/../audit",
        "/v1/health;/../audit",
        "\\v1\\audit",
        "/v1/audit?limit=1#",
        "http://x/v1/audit",
        "*",
    ],
)
def test_paths(served: Served, path: str) -> None:
    """No spelling of a guarded path is answered without a token, and none gives two answers."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    said = raw(served, head)

    assert said.count(b"HTTP/1.1 ") == 1, said
    assert said.split(b" ")[1] in (b"400", b"401", b"404", b"405"), said
