"""An empty store on either database, whose laws are checked after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatebook.store.faults import StoreMissing
from gatebook.store.log import Log
from tests.postgres import Cluster, Server, running_cluster
from tests.store.notes import check_log, opened

OpenStore = Callable[..., Log]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that the test may stop."""
    with running_cluster() as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gatebook.db"


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    url = postgres.url()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def open_store(url: str) -> Iterator[OpenStore]:
    """Opens the test's store as often as it is called. At the end all are closed and checked."""
    logs: list[Log] = []

    def open_one(**more: object) -> Log:
        logs.append(opened(url, **more))
        return logs[-1]

    yield open_one
    for log in logs:
        log.close()
    try:
        with opened(url) as log:
            check_log(log)
    except StoreMissing:
        assert not logs, "the store that this test opened is gone"


@pytest.fixture
def log(open_store: OpenStore) -> Log:
    return open_store(create=True)
