"""Deployments whose master key is rotated, split and lost, on either store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment
from tests.postgres import Server

PASSPHRASE = "canary otter keeps seven lamps"
OTHER = "canary heron minds eleven boats"


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment with a first admin under a key file; nothing runs yet."""
    url = "sqlite:///gatebook.db"
    server: Server | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url()
    made = Deployment(tmp_path, url, server="workers = 2\nthreads = 16")
    made.create()
    yield made
    if server is not None:
        server.drop(url)


@pytest.fixture
def sqlite(tmp_path: Path) -> Deployment:
    """The same, on SQLite."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 2\nthreads = 16")
    made.create()
    return made


@pytest.fixture
def house(deployment: Deployment) -> Iterator[House]:
    """The store, opened in this process."""
    opened = opened_house(deployment)
    yield opened
    opened.close()


def opened_house(deployment: Deployment, **master_key: str) -> House:
    """The store, by another source than the configured one if one is named."""
    if master_key:
        configure(deployment, **master_key)
    opened = open_house(Settings.load(deployment.config, {}))
    opened.prepare()
    return opened


def configure(deployment: Deployment, **master_key: str) -> None:
    """Writes another `[master_key]` into the configuration."""
    ((name, value),) = master_key.items()
    text = deployment.config.read_text()
    before, _, rest = text.partition("[master_key]\n")
    _old, _, after = rest.partition("\n")
    deployment.config.write_text(f'{before}[master_key]\n{name} = "{value}"\n{after}')


def private(path: Path, text: str) -> Path:
    """A file for its owner only."""
    path.write_text(text)
    path.chmod(0o600)
    return path
