"""A started server on either store, whose past is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.served import Deployment, Served


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a first admin, shared by a file."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(
        tmp_path_factory.mktemp(request.param), url, server="workers = 2\nthreads = 4"
    )
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log(set())
