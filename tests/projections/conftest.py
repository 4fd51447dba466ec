"""Both stores, for every test that asks for `url`, `log` or `house`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatebook.projections.ports import Transaction
from gatebook.store.log import Log
from gatebook.store.opening import open_log
from gatebook.tools.bench import plain_codec
from tests.postgres import Server
from tests.projections.house import House, StoppedClock, open_house, scratch


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store may be made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gatebook.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    address = server.url()
    yield address
    server.drop(address)


@pytest.fixture
def log(url: str) -> Iterator[Log]:
    """A new store without read models."""
    with open_log(url, decode=plain_codec.decode, now=StoppedClock().now, create=True) as opened:
        yield opened


@pytest.fixture
def house(url: str) -> Iterator[House]:
    """A new store with all read models."""
    opened = open_house(url)
    with opened.log:
        yield opened


@pytest.fixture
def scratch_tx(tmp_path: Path) -> Iterator[Transaction]:
    """An empty database to fold into."""
    with scratch(tmp_path) as tx:
        yield tx
