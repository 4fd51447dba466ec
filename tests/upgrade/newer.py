"""A newer program, for the tests: a started server of it, and events that only it knows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from uuid import UUID

from gatebook.domain.envelope import Entry
from gatebook.store.house import House, open_house, system
from gatebook.store.mapper import Shape
from gatebook.store.settings import Settings
from tests.api.served import Deployment, Served
from tests.upgrade.starred import AccountStarred

HERE = Path(__file__).parent


@contextmanager
def served_by_newer(deployment: Deployment, *read_models: str) -> Iterator[Served]:
    """Starts the newer program's processes. It has a next version of these read models."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    environment = {
        "PYTHONPATH": os.pathsep.join([str(HERE / "program"), *before, str(HERE.parents[1])]),
        "NEWER_READ_MODELS": " ".join(read_models),
    }
    with contextlib.ExitStack() as stack:
        # The environment is the newer program's alone, and not of what the test starts meanwhile.
        with mock.patch.dict(os.environ, environment):
            served = stack.enter_context(deployment.served())
        yield served


@contextmanager
def newer_house(deployment: Deployment) -> Iterator[House]:
    """The newer program's store, in this process."""
    house = open_house(Settings.load(deployment.config, {}))
    house.mapper._shapes[AccountStarred.TOPIC] = Shape(AccountStarred)
    try:
        yield house
    finally:
        house.close()


def star(deployment: Deployment, account_id: str) -> int:
    """Appends the event that the older program does not know. Returns its position."""
    stream_id = UUID(account_id)
    with newer_house(deployment) as house:
        entry = Entry(stream_id, 0, AccountStarred())
        house.app.record([entry], system(), house.clock.now(), unordered=frozenset({stream_id}))
        return next(
            each.position
            for each in house.store.stream(stream_id)
            if isinstance(each.event, AccountStarred)
        )
