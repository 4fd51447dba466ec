"""Hiding a revocation from the self-check by saying that an operator had it passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatebook.domain import deployment
from gatebook.domain.application.core import local
from gatebook.projections import bookkeeping
from gatebook.projections.access import ACCESS
from gatebook.projections.differences import Difference
from gatebook.projections.self_check import SelfCheck
from gatebook.store.house import House, open_house, system
from gatebook.store.scratch import MEMORY, open_scratch
from gatebook.store.settings import Settings
from tests.api.served import Deployment

BY = local("tester")


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house on either store."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployed = Deployment(tmp_path, url)
    deployed.create()
    opened = open_house(Settings.load(deployed.config, {}))
    yield opened
    opened.close()


def found(house: House) -> list[Difference]:
    """What a whole round of a new check finds wrong."""
    differ: list[Difference] = []
    with open_scratch(MEMORY) as shadow:
        check = SelfCheck(ACCESS, shadow)
        for _ in range(200):
            look = check.look(house.store)
            assert look is not None
            differ += look.found
            if look.round_over:
                return differ
    raise AssertionError("a round without an end")


def test_a_skip_that_nobody_gave_hides_nothing(house: House) -> None:
    """Rows that say so and a row that grants admin are found; a skip that the log has is none."""
    account_id = house.accounts.create(BY, "mallory", "system").id
    house.roles.grant(BY, account_id, "admin")
    kept = house.store.query("SELECT * FROM access_grants WHERE role = 'admin'")
    version = house.store.query("SELECT version FROM access_accounts WHERE version > 1")[-1:]
    before = house.store.head()
    house.roles.revoke(BY, account_id, "admin")
    passed_over = range(before + 1, house.store.head() + 1)
    assert found(house) == []

    (mine,) = (row for row in kept if row[0] == account_id.bytes)
    with house.store.writing() as thief:
        for position in passed_over:
            bookkeeping.skip(thief, ACCESS.name, position)
        thief.execute("INSERT INTO access_grants VALUES (?, ?, ?, ?)", mine)
        thief.execute(
            "UPDATE access_accounts SET version = ? WHERE account_id = ?",
            (version[0][0], account_id.bytes),
        )
    assert {one.table for one in found(house)} == {"access_grants", "access_accounts"}

    for position in passed_over:
        said = deployment.ProjectionEventSkipped(ACCESS.name, position)
        house.app.record_one(said, deployment.STREAM_ID, system())
    assert found(house) == [], "what an operator passed over is his affair"
