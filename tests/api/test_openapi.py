"""schemathesis against the started server: what the document says is what the server does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from gatebook.api.routes import described
from tests.api.served import Served

SCHEMA = schemathesis.openapi.from_dict(json.loads(described()))
OPERATIONS = {
    f"{operation.ok().method.upper()} {operation.ok().path}": operation.ok()
    for operation in SCHEMA.get_all_operations()
}
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
LEAVES_ALONE = ("/v1/auth/logout", "/v1/auth/password", "/v1/keys")
"""What would sign the caller out; and keys, since each call would make one."""


def answered(served: Served, case: Any, token: str | None) -> Any:
    if isinstance((case.query or {}).get("wait"), int):
        case.query["wait"] = min(case.query["wait"], 1)  # the feed would wait half a minute
    host = f"http://{served.client.host}:{served.client.port}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return case.call(base_url=host, headers=headers)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_conformance(served: Served, name: str) -> None:
    """No server error, no undeclared status, no undeclared shape, signed in or not."""
    operation = OPERATIONS[name]
    token = None if operation.path in LEAVES_ALONE else served.admin.token

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def explore(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy())
        response = answered(served, case, token)
        case.validate_response(response, checks=CHECKS)

    explore()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_authentication_is_not_ignored(served: Served, name: str) -> None:
    """Without a token a guarded operation is a 401 whatever else is sent."""
    operation = OPERATIONS[name]
    if not operation.definition.raw["security"]:
        assert (
            name.endswith(
                (
                    "/login",
                    "/second-factor",
                    "POST /logout",
                    "/static/passkey.js",
                    "/static/style.css",
                    "/callback",
                    "/back-channel-logout",
                    "/oauth2/token",
                    "/oauth2/introspect",
                    "/oauth2/revoke",
                    "/login/options",
                    "/login/verify",
                    "/mfa",
                    "/renew",
                    "/bootstrap",
                    "/validate",
                    ".json",
                    "/checkpoint",
                    "/checkpoint/key",
                    "/proof/inclusion",
                    "/proof/consistency",
                    "/health",
                    "/ready",
                )
            )
            or "/.well-known/" in name
            or name.startswith("GET /tlog/tile/{level}/")
        )
        return

    @settings(
        max_examples=4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def explore(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy())
        assert answered(served, case, None).status_code == 401

    explore()
