"""One server for the attacks that need nothing of their own, and deployments for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment, Served

SERVER = "workers = 2\nthreads = 8"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a first admin, shared by all attacks."""
    deployment = Deployment(
        tmp_path_factory.mktemp("attacks"), "sqlite:///gatebook.db", server=SERVER
    )
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Deployment:
    """A deployment that belongs to one test; nothing runs yet."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER)
    deployment.create()
    return deployment
