"""A server under http://localhost, where pages may use passkeys, and a provider on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.served import PASSWORD, Deployment, Served
from tests.browser.webdriver import free_port
from tests.federation.hostile import CLIENT_SECRET, Provider, running
from tests.pages.visitor import Visitor

MORE = '[outbound]\nallow_loopback_http = true\ntimeout = "2s"\n'
SECRETS = {PASSWORD, CLIENT_SECRET, "gbs_", "gbm_"}


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of the pages."""
    port = free_port()
    deployment = Deployment(
        tmp_path_factory.mktemp("pages"),
        "sqlite:///gatebook.db",
        server=f'public_url = "http://localhost:{port}"\nworkers = 2\nthreads = 8',
        more=MORE,
    )
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"'))
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log(SECRETS)


@pytest.fixture
def visitor(served: Served) -> Visitor:
    """Somebody who has not been here before."""
    return Visitor(served.client)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An identity provider of one test."""
    with running() as one:
        yield one
