"""Deployments that have lived: one for all tests that only read, and one for each that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment
from tests.replay.fuller import FullerLife
from tests.replay.scene import Scene

STEPS = 700


class Lived(msgspec.Struct):
    """A deployment, its store opened, and the life that went on in it."""

    deployment: Deployment
    house: House
    life: FullerLife


def opened(directory: Path, url: str = "sqlite:///gatebook.db") -> tuple[Deployment, House]:
    """A new deployment."""
    deployment = Deployment(directory, url)
    deployment.create()
    house = open_house(Settings.load(deployment.config, {}))
    house.prepare()
    return deployment, house


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def lived(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lived]:
    """A life of every kind of command, on either store."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment, house = opened(tmp_path_factory.mktemp("lived"), url)
    try:
        life = FullerLife(house, seed=11)
        for _ in range(STEPS):
            life.step()
        life.complete()
        yield Lived(deployment, house, life)
    finally:
        house.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A deployment that has just begun."""
    _deployment, house = opened(tmp_path)
    yield house
    house.close()


@pytest.fixture
def scene(house: House) -> Scene:
    """People who sign in to it, and a clock that is moved."""
    return Scene(house)
