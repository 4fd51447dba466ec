"""The throwaway count of readings in the hands of somebody who may write to `slots/`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gatebook.domain.application.core import HOUR, By
from gatebook.domain.envelope import account_actor
from gatebook.domain.readings import AuditRead
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment

READER = UUID(int=7)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house of this test's own."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    deployment.create()
    opened = open_house(Settings.load(deployment.config, {}))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("account", b"no id"),
        ("kind", "<script>"),
        ("count", -5),
        ("count", 2**62),
        ("first_at", -(2**62)),
        ("last_at", 2**62),
        ("hour", -1),
        ("hour", -(2**62)),
    ],
)
def test_a_row_that_nobody_counted_stops_nothing(house: House, column: str, value: Any) -> None:
    """It is no event, and what was counted beside it is summed up all the same."""
    now = house.clock.now() // HOUR * HOUR
    by = By(actor=account_actor(READER))
    for about in (None, UUID(int=8)):
        for _ in range(3):
            house.readings.note(by, "query", about, now)
    with closing(sqlite3.connect(house.settings.path("slots") / "readings.db")) as thief, thief:
        thief.execute(f"UPDATE readings SET {column} = ? WHERE account = x''", (value,))

    house.readings.sweep(now + HOUR)
    house.readings.sweep(now + HOUR)

    counted = [one.event for one in house.store.read(0, 1_000) if isinstance(one.event, AuditRead)]
    assert [(one.account_id, one.count) for one in counted] == [
        (None, 1),
        (UUID(int=8), 1),
        (UUID(int=8), 2),
    ]
