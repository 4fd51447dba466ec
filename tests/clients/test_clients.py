"""OAuth 2 clients that nobody here wrote, against a started server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from tests.api.oauth2 import post
from tests.api.served import Served
from tests.clients.conftest import SCOPE


def ran(command: list[str], told: dict[str, Any], directory: Path | None = None) -> Any:
    """What a client program says after it did all it was told."""
    made = subprocess.run(
        command, input=json.dumps(told), cwd=directory, capture_output=True, text=True, timeout=90
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout)


def as_it_should(told: dict[str, Any]) -> dict[str, Any]:
    """What every way of client authentication must lead to."""
    return {
        "type": "bearer",
        "scope": SCOPE,
        "active": [True, False],
        "sub": told["client_id"],
        "used": 200,
    }


def test_oauth4webapi(node: Path, asked: dict[str, Any]) -> None:
    """npm oauth4webapi: discovery, three authentications, DPoP, refresh, introspect, revoke."""
    said = ran(["node", "oauth4webapi.mjs"], asked, node)

    assert said["discovered"] == asked["issuer"] + "/oauth2/token"
    for method in ("basic", "post", "private_key_jwt"):
        assert said[method] == as_it_should(asked)
    assert said["dpop"] == {"type": "dpop", "used": 200, "bound": True}
    assert said["refresh"] == [200, 200, 401]
    assert said["refused"][1] == 401


def test_openid_client(node: Path, asked: dict[str, Any]) -> None:
    """npm openid-client: the same, discovered by both well-known documents."""
    said = ran(["node", "openid_client.mjs"], asked, node)

    for algorithm in ("oauth2", "oidc"):
        for method in ("basic", "post", "private_key_jwt"):
            assert said[f"{algorithm} {method}"] == as_it_should(asked)
    assert said["dpop"] == {"type": "dpop", "used": 200}
    assert said["refresh"] == [200, 401]


def test_authlib(asked: dict[str, Any]) -> None:
    """PyPI authlib: three authentications, a token used, introspected, revoked."""
    program = Path(__file__).with_name("authlib_client.py")
    said = ran([sys.executable, "-W", "ignore", str(program)], asked)

    for method in ("client_secret_basic", "client_secret_post", "private_key_jwt"):
        assert said[method] == as_it_should(asked) | {"type": "Bearer"}


@pytest.fixture
def token(served: Served, configured: dict[str, Any]) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": configured["client_id"],
        "client_secret": configured["client_secret"],
    }
    return str(post(served.client, "/oauth2/token", form).body["access_token"])


def test_pyjwt_verifies_our_tokens(configured: dict[str, Any], token: str) -> None:
    """PyJWT's own client fetches the JWKS and finds the key by its kid."""
    keys = jwt.PyJWKClient(configured["issuer"] + "/.well-known/jwks.json")
    said = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=["ES256"],
        audience=configured["issuer"],
        issuer=configured["issuer"],
        options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]},
    )
    assert said["sub"] == configured["client_id"]


def test_joserfc_verifies_our_tokens(
    served: Served, configured: dict[str, Any], token: str
) -> None:
    """joserfc imports the JWKS, each key with its use and algorithm, and verifies with it."""
    jwks = served.client.get("/.well-known/jwks.json").body
    verified = joserfc_jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert (verified.header["typ"], verified.claims["sub"]) == ("at+jwt", configured["client_id"])
