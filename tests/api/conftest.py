"""The server, started once a session on each store; tests use accounts of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import ADMIN_PASSWORD, BOOTSTRAP_TOKEN, PASSWORD, Deployment, Served

SECRETS = {ADMIN_PASSWORD, BOOTSTRAP_TOKEN, PASSWORD, "eyJ", "gbr_", "gbk_", "$argon2"}
"""Whatever of these stands in a log was put there by us."""

SERVER = "workers = 2\nthreads = 4"
MORE = '[lockout]\nthreshold = 5\nduration = "15m"\n'


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a first admin, shared by the whole session."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path_factory.mktemp(request.param), url, server=SERVER, more=MORE)
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log(SECRETS)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment on SQLite that belongs to one test; nothing runs yet."""
    return Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER)
