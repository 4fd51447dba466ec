"""The ten seconds' grace of a renewal, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatebook.domain.application.core import By
from gatebook.domain.application.families import TokenPair
from gatebook.domain.application.logins import Attempt
from gatebook.domain.envelope import ANONYMOUS, Source
from gatebook.domain.errors import InvalidCredentials
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment

SECOND = 1_000_000
HERE = By(actor=ANONYMOUS, request_id="r", source=Source("192.0.2.1", "firefox"))
ELSEWHERE = By(actor=ANONYMOUS, request_id="r", source=Source("192.0.2.2", "firefox"))


class Clock:
    """A clock that the test moves. Microseconds."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with an admin, on a clock of the test's."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    deployment.create()
    house = open_house(Settings.load(deployment.config, {}))
    house.app.clock = Clock(house.clock.now())
    try:
        yield house
    finally:
        house.close()


def signed_in(house: House) -> str:
    """A refresh token."""
    pair = house.logins.login(HERE, Attempt(ADMIN, house.plaintext(ADMIN_PASSWORD)))
    assert isinstance(pair, TokenPair)
    return pair.refresh_token


@pytest.mark.parametrize("later", [-5_000, 0, 5_000, 10 * SECOND - 1])
def test_the_same_client_soon(house: House, later: int) -> None:
    """The same pair again; also when this use was begun a moment before the one that won."""
    token, clock = signed_in(house), house.app.clock
    first = house.sessions.renew(HERE, token)
    assert isinstance(clock, Clock)
    clock.at += later
    again = house.sessions.renew(HERE, token)
    assert again.refresh_token == first.refresh_token


@pytest.mark.parametrize(("by", "later"), [(HERE, 10 * SECOND), (ELSEWHERE, 0)])
def test_later_or_elsewhere(house: House, by: By, later: int) -> None:
    """The family ends."""
    token, clock = signed_in(house), house.app.clock
    first = house.sessions.renew(HERE, token)
    assert isinstance(clock, Clock)
    clock.at += later
    with pytest.raises(InvalidCredentials):
        house.sessions.renew(by, token)
    with pytest.raises(InvalidCredentials):
        house.sessions.renew(HERE, first.refresh_token)
