"""Started servers on both stores: the acceptance lines of parity.md, section E."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.emergency import EMERGENCY, PROXY, QUICK, WRONG
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


def _with_break_glass(
    request: pytest.FixtureRequest, directory: Path, breakglass: str, server: str
) -> Deployment:
    deployment = Deployment(directory, _url(request), server=server, breakglass=breakglass)
    deployment.create()
    return deployment


@pytest.fixture(scope="module", params=STORES)
def quick(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server whose break-glass locks come after three failures and last two seconds."""
    deployment = _with_break_glass(request, tmp_path_factory.mktemp("quick"), QUICK, PROXY)
    with deployment.served() as server:
        yield server
    deployment.check_log({EMERGENCY, WRONG, "$argon2"})


@pytest.fixture(params=STORES)
def behind_glass(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment of one test with the default break-glass locks; nothing runs yet."""
    return _with_break_glass(request, tmp_path, "enabled = true", "workers = 2")
