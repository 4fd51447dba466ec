"""A server that clients discover under the URL it says it has, and a client configured on it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import ECAlgorithm

from tests.api.oauth2 import Key, Machine
from tests.api.served import PASSWORD, Deployment, Served
from tests.npm import installed

HERE = Path(__file__).parent
SCOPE = "accounts.read"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose issuer is the address it listens on: a client compares the two."""
    port = free_port()
    deployment = Deployment(
        tmp_path_factory.mktemp("clients"),
        "sqlite:///gatebook.db",
        server=f'workers = 2\nthreads = 4\npublic_url = "http://127.0.0.1:{port}"',
    )
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.fixture(scope="module")
def configured(served: Served) -> dict[str, Any]:
    """A confidential client with a secret and a key, and a refresh token of a person."""
    key, machine = Key(), Machine(served, "viewer")
    machine.configure(
        jwks={"keys": [key.jwk | {"kid": "mine"}]},
        auth_methods=["client_secret_basic", "client_secret_post", "private_key_jwt"],
        scopes=[SCOPE, "roles.read"],
    )
    pem = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "issuer": f"http://{served.client.host}:{served.client.port}",
        "client_id": machine.id,
        "client_secret": machine.secret,
        "private_jwk": key.jwk | {"d": ECAlgorithm.to_jwk(key.private, as_dict=True)["d"]},
        "private_pem": pem.decode(),
        "kid": "mine",
        "scope": SCOPE,
    }


@pytest.fixture
def asked(served: Served, configured: dict[str, Any]) -> dict[str, Any]:
    """What a client program is told, with a refresh token of its own."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    return configured | {"refresh_token": pair["refresh_token"]}


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Path:
    """A directory with the npm clients of package-lock.json and our programs; made once."""
    return installed(request.config, HERE, "gatebook-clients")
