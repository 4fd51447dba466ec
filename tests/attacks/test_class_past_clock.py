"""The past after a clock was wrong for a while, and while the index of the log is behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import jwt
import pytest

from gatebook.domain.application.core import local
from gatebook.domain.application.families import TokenPair
from gatebook.domain.application.logins import Attempt
from gatebook.projections.follower import Follower
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.holdings import everybody, held_by
from gatebook.store.house import House, open_house
from gatebook.store.past import Past, Place
from gatebook.store.past_places import position_at
from gatebook.store.past_sign_ins import token_then
from gatebook.store.settings import Settings
from gatebook.store.system import SystemClock
from tests.api.served import PASSWORD, Deployment

BY = local("tester")
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock:
    """What the house takes for the time."""

    def __init__(self) -> None:
        self.at = SystemClock().now()

    def now(self) -> int:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every house that is opened."""
    clock = Clock()
    monkeypatch.setattr("gatebook.store.house.SystemClock", lambda: clock)
    return clock


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[House]:
    """A house on either store, that nobody follows unless a test does."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url)
    deployment.create()
    clock.at += MINUTE
    opened = open_house(Settings.load(deployment.config, {}))
    opened.prepare()
    yield opened
    opened.close()


def follow(house: House) -> None:
    """Brings the read models that people browse level."""
    follower = Follower(house.store, PROJECTIONS, house.clock)
    for _ in range(1_000):
        if not follower.round():
            return
    raise AssertionError("the follower does not come to an end")


def roles_at(house: House, account_id: UUID, at: int) -> set[str]:
    place = Place(at, position_at(house.store, at))
    held = held_by(Past(house.store, house.opened), place, [account_id])
    return set(held[account_id].roles) if account_id in held else set()


@pytest.mark.parametrize("followed", [True, False])
@pytest.mark.parametrize("wrong_by", [DAY, -DAY, -20_000 * DAY])
def test_a_clock_that_was_wrong_for_a_while(
    house: House, clock: Clock, wrong_by: int, followed: bool
) -> None:
    """What held before and what held after is told as it was, wherever in the log the error is."""
    account_id = house.accounts.create(BY, "robot", "system").id
    told: list[tuple[int, set[str]]] = []
    for number in range(24):
        wrong = number in (9, 10, 11)
        clock.at += wrong_by * wrong
        if number % 2:
            house.roles.revoke(BY, account_id, "viewer")
        else:
            house.roles.grant(BY, account_id, "viewer")
        if not wrong:
            told.append((clock.at, set() if number % 2 else {"viewer"}))
        clock.at += MINUTE - wrong_by * wrong
        if followed or number < 12:
            follow(house)
    for at, roles in told:
        assert roles_at(house, account_id, at) == roles, (at - told[0][0]) // MINUTE
        assert roles_at(house, account_id, at + MINUTE // 2) == roles


def test_a_time_before_the_log_and_one_that_nothing_is_behind(house: House, clock: Clock) -> None:
    """Before its first event there is nothing, now there is all of it."""
    follow(house)
    assert position_at(house.store, clock.at - DAY) == 0
    assert position_at(house.store, clock.at) == house.store.head()


def test_a_token_that_the_index_has_not_come_to(house: House) -> None:
    """A session's token is found as soon as it is given out, whether or not the follower lives."""
    account_id = house.accounts.create(
        BY, "someone", "human", plaintext=house.plaintext(PASSWORD)
    ).id
    pair = house.logins.login(BY, Attempt("someone", house.plaintext(PASSWORD)))
    assert isinstance(pair, TokenPair)
    said = jwt.decode(pair.access_token, options={"verify_signature": False})
    place = Place(house.clock.now(), house.store.head())
    found = token_then(Past(house.store, house.opened), UUID(said["jti"]), place)
    assert found is not None
    assert (found.account_id, found.caller is not None) == (account_id, True)


def test_an_index_that_names_another_event(house: House) -> None:
    """A row of the audit index that was changed by hand adds nobody, and stops no answer."""
    account_id = house.accounts.create(BY, "robot", "system").id
    follow(house)
    with house.store.writing() as thief:
        thief.execute("UPDATE audit SET type = 'account.created' WHERE type = 'role.defined'")
    place = Place(house.clock.now(), house.store.head())
    shown = [one.account_id for _at, one in everybody(Past(house.store, house.opened), place, 0)]
    assert account_id in shown
    assert len(shown) == len(set(shown)) == len(house.store.query("SELECT * FROM accounts"))
