"""Started servers on both stores: the acceptance lines of parity.md, section E."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment, Served

SERVER = "workers = 2\nthreads = 8"
STORES = ["sqlite", "postgresql"]


def _url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").url())
    return "sqlite:///gatebook.db"


@pytest.fixture(scope="module", params=STORES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a first admin, shared by a file."""
    deployment = Deployment(tmp_path_factory.mktemp("shared"), _url(request), server=SERVER)
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.fixture(params=STORES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment without an admin; nothing runs yet."""
    deployment = Deployment(tmp_path, _url(request), server=SERVER)
    deployment.create(admin=False)
    return deployment


@pytest.fixture(params=STORES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment with a first admin, of one test; nothing runs yet."""
    deployment = Deployment(tmp_path, _url(request), server=SERVER)
    deployment.create()
    return deployment
