"""A deployment with a witness, its house, and short ways to let the log and the tree grow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatebook.api.local import record_use
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment

WITNESS = "witness.txt"
MORE = f'[audit]\nwitness_files = ["{WITNESS}"]\n'


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a store may be made."""
    if request.param == "sqlite":
        yield "sqlite:///gatebook.db"
        return
    server = request.getfixturevalue("postgres")
    address = server.url()
    yield address
    server.drop(address)


@pytest.fixture
def deployment(tmp_path: Path, url: str) -> Deployment:
    """A store with a witness file; nothing runs on it."""
    made = Deployment(tmp_path, url, more=MORE)
    made.create(admin=False)
    return made


@contextmanager
def opened(deployment: Deployment) -> Iterator[House]:
    """The house of a deployment, as another process would open it."""
    found = open_house(Settings.load(deployment.config, {}))
    try:
        found.prepare()
        yield found
    finally:
        found.close()


@pytest.fixture
def house(deployment: Deployment) -> Iterator[House]:
    """All that the deployment opens."""
    with opened(deployment) as found:
        yield found


def happen(house: House, events: int = 1) -> None:
    """So many events more."""
    for _ in range(events):
        record_use(house, "tester", "test")
