"""The OpenAPI 3.1 document: the route table and its structs, said once more for machines."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import Any, Final

import msgspec

from gatebook.api.forms import FORM
from gatebook.api.oauth2_errors import OAuthErrorDocument
from gatebook.api.problems import PROBLEMS, ProblemDocument
from gatebook.api.route import Route

REFERENCES: Final = "#/components/schemas/{name}"
_TILE_PART: Final = {"type": "string", "pattern": r"^(x?[0-9]{3}(\.p)?|[0-9]{1,3})$"}
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "account_id": {"type": "string", "format": "uuid"},
    "session_id": {"type": "string", "format": "uuid"},
    "jti": {"type": "string", "format": "uuid"},
    "provider_id": {"type": "string", "format": "uuid"},
    "identity_id": {"type": "string", "format": "uuid"},
    "mapping_id": {"type": "string", "format": "uuid"},
    "key_id": {"type": "string", "format": "uuid"},
    "passkey_id": {"type": "string", "format": "uuid"},
    "credential_id": {"type": "string", "format": "uuid"},
    "position": {"type": "integer", "minimum": 1},
    "role": {"type": "string", "pattern": "^[a-z][a-z0-9._-]{0,62}$"},
    "kid": {"type": "string", "minLength": 1, "maxLength": 200},
    "level": {"type": "string", "pattern": "^(0|[1-9]|[1-5][0-9]|6[0-3])$"},
    **dict.fromkeys(("first", "second", "third", "fourth"), _TILE_PART),
}

_REQUEST_ID: Final = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
}

_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": (
        "An access token or an API key. In its place counts the cookie of a session in a browser, "
        "which POST /v1/auth/login?session=cookie sets; every method but GET and HEAD then needs "
        "the `csrf_token` of that answer in the header X-CSRF-Token."
    ),
}


def document(routes: Iterable[Route]) -> bytes:
    """The document as JSON."""
    routes = list(routes)
    named = [route.body for route in routes if route.body is not None]
    named += [shown for route in routes for shown in route.replies.values() if shown is not None]
    named = [*dict.fromkeys(named), ProblemDocument, OAuthErrorDocument]
    schemas, components = msgspec.json.schema_components(named, ref_template=REFERENCES)
    refs = dict(zip(named, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatebook",
            "version": metadata.version("gatebook"),
            "summary": "An authentication service whose database is its audit trail.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": _BEARER},
        },
    }
    return msgspec.json.encode(whole)


def _operation(route: Route, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, refs),
        "security": [] if route.need.kind == "public" else [{"bearer": []}],
    }
    if route.need.permission:
        operation["x-permission"] = route.need.permission
        operation["x-own"] = route.need.kind == "own"
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {
                FORM if route.reads_forms else "application/json": {"schema": refs[route.body]}
            },
        }
    return operation


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_")
    return "_".join([route.method.lower(), *filter(None, words.split("/"))])


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]}
        for name in route.parameters
    ]
    found += _query(route)
    found.append(_REQUEST_ID)
    if route.repeatable:
        found.append(_IDEMPOTENCY_KEY)
    if route.if_match:
        found.append(_IF_MATCH)
    return found


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=REFERENCES)
    schema = components[route.query.__name__]
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _given(one)}
        for name, one in schema["properties"].items()
    ]


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """What may stand in a query string: null cannot; a parameter that is not given is left out."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return options[0] if len(options) == 1 else {k: v for k, v in schema.items() if v is not None}


def _responses(route: Route, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, shown in route.replies.items():
        found[str(status)] = {"description": route.summary}
        if shown is not None:
            content = {"application/json": {"schema": refs[shown]}}
            found[str(status)]["content"] = content
        elif route.media_type and status < 300:
            kind = "object" if route.media_type == "application/json" else "string"
            found[str(status)]["content"] = {route.media_type: {"schema": {"type": kind}}}
    by_status: dict[int, list[str]] = {}
    for slug in route.slugs:
        by_status.setdefault(PROBLEMS[slug][0], []).append(slug)
    for status, slugs in sorted(by_status.items()):
        answer = found.setdefault(str(status), {"description": ", ".join(slugs), "content": {}})
        if route.page:
            answer["content"][route.media_type] = {"schema": {"type": "string"}}
            continue
        kind = "application/json" if route.form else "application/problem+json"
        shape = OAuthErrorDocument if route.form else ProblemDocument
        answer["content"][kind] = {"schema": refs[shape]}
    return found
