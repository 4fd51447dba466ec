"""A server on either store, and a provider that it may reach on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.served import Deployment, Served
from tests.federation.hostile import CLIENT_ID, CLIENT_SECRET, Provider, running

SERVER = "workers = 2\nthreads = 16"
MORE = '[outbound]\nallow_loopback_http = true\ntimeout = "2s"\nmax_bytes = "64KiB"\n'
STORES = ["sqlite", "postgresql"]


def url_of(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").url())
    return "sqlite:///gatebook.db"


@pytest.fixture(scope="module", params=STORES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a first admin, shared by a file."""
    deployment = Deployment(
        tmp_path_factory.mktemp("shared"), url_of(request), server=SERVER, more=MORE
    )
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log({CLIENT_SECRET})


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider of one test, that does everything right until it is told not to."""
    with running() as one:
        yield one


def configure(served: Served, provider: Provider, **changes: Any) -> str:
    """The provider, configured at the server, with `staff` standing for `viewer`. Its id."""
    body = {
        "name": "Hostile",
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        **changes,
    }
    answer = served.admin.post("/v1/auth/oidc/providers", body)
    assert answer.status == 201, answer.raw
    provider_id = str(answer.body["id"])
    mapping = {"provider_id": provider_id, "group": "staff", "role": "viewer"}
    assert served.admin.post("/v1/auth/oidc/group-mappings", mapping).status == 201
    return provider_id


@pytest.fixture
def provider_id(served: Served, provider: Provider) -> str:
    """The provider's id at the server."""
    return configure(served, provider)
