"""Health, readiness, keys, metadata, and what every answer has."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from gatebook.api.routes import described
from tests.api.served import Served


def test_health(served: Served) -> None:
    """A process that serves says so."""
    answer = served.client.get("/v1/health")

    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_ready(served: Served) -> None:
    """A server whose store answers and whose read models live is ready; it says no more."""
    answer = served.client.get("/v1/ready")

    assert answer.status == 200
    assert answer.body == {"status": "ready", "problems": []}


def test_keys_are_public(served: Served) -> None:
    """The key set holds public halves only, and may be cached."""
    answer = served.client.get("/.well-known/jwks.json")

    assert "max-age=" in answer.headers["Cache-Control"]
    assert answer.body["keys"]
    for key in answer.body["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()


@pytest.mark.parametrize("name", ["openid-configuration", "oauth-authorization-server"])
def test_metadata(served: Served, name: str) -> None:
    """The metadata names where the keys are, on this very listener, and the grants that work."""
    answer = served.client.get(f"/.well-known/{name}", headers={"Host": "evil.example"})

    assert answer.body["jwks_uri"].endswith(f":{served.client.port}/.well-known/jwks.json")
    assert answer.body["grant_types_supported"] == ["client_credentials", "refresh_token"]
    assert b"evil" not in answer.raw


def test_document(served: Served) -> None:
    """What is served at /openapi.json is the document of the route table."""
    assert described() == served.client.get("/openapi.json").raw


def test_metrics_need_a_permission(served: Served) -> None:
    """Metrics are for holders of metrics.read; labels are templates, never addresses."""
    _, nobody = served.signed_in()
    served.client.get("/no/such/path/7f3a")

    refused = nobody.get("/metrics")
    text = served.admin.get("/metrics").raw.decode()

    assert (refused.status, refused.body["permission"]) == (403, "metrics.read")
    assert "gatebook_log_head" in text
    assert 'gatebook_projection_lag{projection="audit"}' in text
    assert "7f3a" not in text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/health", "GET"),
        ("HEAD", "/v1/health", "GET"),
        ("OPTIONS", "/v1/accounts", "GET, POST"),
        ("TRACE", "/v1/token/validate", "POST"),
        ("PUT", "/v1/auth/login", "POST"),
        ("BREW", "/v1/accounts", "GET, POST"),
    ],
)
def test_other_methods(served: Served, method: str, path: str, allow: str) -> None:
    """A method that is not in the table is a 405 that names those which are."""
    answer = served.client.call(method, path)

    assert (405, allow) == (answer.status, answer.headers["Allow"])


def test_method_override_is_ignored(served: Served) -> None:
    """No header turns one method into another."""
    answer = served.client.post("/v1/health", headers={"X-HTTP-Method-Override": "GET"})

    assert answer.status == 405


def test_unknown_path(served: Served) -> None:
    """A path that is not in the table is a problem like any other."""
    answer = served.client.get("/v1/nothing")

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"].endswith("/problems/not-found")


def test_headers_of_every_answer(served: Served) -> None:
    """No banner, no sniffing, no caching; no CORS either."""
    for path in ("/v1/health", "/v1/nothing", "/v1/accounts"):
        headers = served.client.get(path, headers={"Origin": "https://evil.example"}).headers
        assert not headers["Server"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"X-Request-Id": "abc-1.2_3"}, "abc-1.2_3"),
        (
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ),
        (
            {
                "X-Request-Id": "mine",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            },
            "mine",
        ),
    ],
)
def test_request_id_is_kept(served: Served, sent: dict[str, str], echoed: str) -> None:
    """A well-formed request id comes back, in the header and in a problem."""
    answer = served.client.get("/v1/nothing", headers=sent)

    assert (echoed, echoed) == (answer.headers["X-Request-Id"], answer.body["request_id"])


@pytest.mark.parametrize(
    "sent",
    [
        {"X-Request-Id": "with space"},
        {"X-Request-Id": "x" * 129},
        {"X-Request-Id": "a\u00e9"},
        {"traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
        {"traceparent": "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"traceparent": "garbage"},
    ],
)
def test_bad_request_id_is_replaced(served: Served, sent: dict[str, str]) -> None:
    """A malformed id is not an error: the request gets one of ours."""
    given = served.client.get("/v1/health", headers=sent).headers["X-Request-Id"]

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", given)


def test_log_line(served: Served) -> None:
    """A request is one JSON line with its id, route, status and time, and no query string."""
    request_id = uuid.uuid4().hex
    served.client.get(
        "/v1/accounts/x?secret=hunter2",
        headers={"X-Request-Id": request_id, "User-Agent": "curl/8.5.0"},
    )
    lines = [one for one in served.deployment.log().splitlines() if request_id in one]
    (line,) = (json.loads(one) for one in lines)

    assert line["route"] == "/v1/accounts/{account_id}"
    assert (line["method"], line["status"], line["client"]) == ("GET", 401, "curl")
    assert line["duration_ms"] >= 0
    assert "hunter2" not in lines[0]
