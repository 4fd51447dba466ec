"""Started servers that are hurt: a store of its own for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment, Served
from tests.postgres import Cluster, running_cluster

SERVER = "workers = 2\nthreads = 16"
"""Half the threads may hash at once: eight clients are never turned away."""


STORES = ["sqlite", "postgresql"]
IN_CI = os.environ.get("HYPOTHESIS_PROFILE") == "ci"
LONG = bool(os.environ.get("GATEBOOK_LONG_TESTS"))
"""What takes too long for every change: ./run test-long."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may stop."""
    with running_cluster() as cluster:
        yield cluster


def _url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").url())
    return "sqlite:///gatebook.db"


@pytest.fixture(params=STORES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment with a first admin, of one test; nothing runs yet."""
    deployment = Deployment(tmp_path, _url(request), server=SERVER)
    deployment.create()
    return deployment


@pytest.fixture
def sqlite(tmp_path: Path) -> Deployment:
    """The same, on SQLite."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER)
    deployment.create()
    return deployment


@pytest.fixture(scope="module", params=STORES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a first admin, shared by a file, that lets many requests race."""
    deployment = Deployment(tmp_path_factory.mktemp("shared"), _url(request), server=SERVER)
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log(set())
