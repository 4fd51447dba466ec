"""One server on granian, for the tests of the API that any engine must pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.conftest import MORE, SECRETS
from tests.api.served import Deployment, Served


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a first admin, shared by these modules."""
    server = 'workers = 2\nthreads = 4\nengine = "granian"\n'
    deployment = Deployment(
        tmp_path_factory.mktemp("granian"), "sqlite:///gatebook.db", server=server, more=MORE
    )
    deployment.create()
    with deployment.served() as running:
        yield running
    deployment.check_log(SECRETS)
