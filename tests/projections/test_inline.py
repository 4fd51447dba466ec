"""Inline projections: as one with the append, or nothing."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from gatebook.domain import account, deployment
from gatebook.domain.envelope import Recorded
from gatebook.projections import engine
from gatebook.projections.access import ACCESS
from gatebook.projections.access_tables import ACCOUNTS
from gatebook.projections.changes import Change
from gatebook.projections.errors import ReadModelBehind
from gatebook.projections.inline import Inline
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.log import Log
from tests.projections.house import House, StoppedClock, open_house, recorded

ALICE, BOB = UUID(int=1), UUID(int=2)
CREATED = account.AccountCreated(kind="human", profile=account.Profile("alice"))
NEWER = msgspec.structs.replace(ACCESS, version=ACCESS.version + 1)


def position(log: Log) -> int:
    """Where `access` stands."""
    (found,) = engine.status(log, [ACCESS])
    return found.position


def move(house: House, to: int) -> None:
    """Puts `access` somewhere else, as no program of ours would."""
    with house.log.writing() as tx:
        tx.execute("UPDATE projections SET position = ? WHERE name = 'access'", (to,))


def test_rows_are_there_when_the_append_is_answered(house: House) -> None:
    """Every append leaves `access` level with the log, rows included."""
    (at,) = house.append(ALICE, CREATED)

    assert position(house.log) == at == house.log.head()
    assert [row[:2] for row in house.rows(ACCOUNTS)] == [(ALICE.bytes, at)]


def test_events_of_no_concern_move_the_position_only(house: House) -> None:
    """An event that access does not care about leaves rows as they are and the position at it."""
    (at,) = house.append(deployment.STREAM_ID, deployment.ConsoleUsed(command="x"))

    assert position(house.log) == at


@pytest.mark.parametrize("offset", [-1, 1])
def test_an_append_is_refused_while_access_stands_elsewhere(house: House, offset: int) -> None:
    """With access behind the log or ahead of it nothing can be appended, and nothing is."""
    house.append(ALICE, CREATED)
    move(house, 1 + offset)

    with pytest.raises(ReadModelBehind, match="access does not stand at position 1: it is live"):
        house.append(BOB, CREATED)

    assert house.log.head() == 1
    assert len(house.rows(ACCOUNTS)) == 1


def test_an_append_is_refused_when_access_is_missing(log: Log) -> None:
    """Before access is built nothing can be appended."""
    house = House(log, PROJECTIONS)
    engine.ensure(log, [p for p in PROJECTIONS if not p.inline], StoppedClock())

    with log.writing() as tx, pytest.raises(ReadModelBehind, match="has not been built"):
        open_inline().apply(tx, 0, [event()])

    assert house.log.head() == 0


def open_inline() -> Inline:
    """The inline projections of this program."""
    return Inline(PROJECTIONS)


def event() -> Recorded:
    """Alice's account."""
    return recorded(CREATED, stream_id=ALICE, position=1)


def test_nothing_to_fold_is_nothing_to_do(log: Log) -> None:
    """A group of writes without events does not ask where access stands."""
    with log.writing() as tx:
        open_inline().apply(tx, 0, [])


def test_an_older_program_may_not_append(url: str) -> None:
    """Once access is of a newer version, a program that folds the old one is refused."""
    old = open_house(url)
    with old.log:
        old.append(ALICE, CREATED)
        newer = open_house(url, [NEWER, *PROJECTIONS[1:]])
        with newer.log:
            assert engine.status(newer.log, [NEWER])[0].generation == 2
            with pytest.raises(ReadModelBehind, match="with version 3; this program has version 2"):
                old.append(BOB, CREATED)
            newer.append(BOB, CREATED)
            assert len(newer.rows(ACCOUNTS)) == 2


def test_ensure_brings_access_level(house: House) -> None:
    """Access that is behind is built anew before the service starts, and appends go on."""
    house.append(ALICE, CREATED)
    move(house, 0)
    told: list[tuple[str, int, int]] = []

    engine.ensure(house.log, PROJECTIONS, StoppedClock(), lambda *seen: told.append(seen))

    assert told[-1] == ("access", 1, 1)
    assert position(house.log) == 1
    house.append(BOB, CREATED)
    assert len(house.rows(ACCOUNTS)) == 2


def test_ensure_twice_changes_nothing(house: House) -> None:
    """A second start finds everything in place."""
    house.append(ALICE, CREATED)
    before = engine.status(house.log, PROJECTIONS)

    engine.ensure(house.log, PROJECTIONS, StoppedClock())

    assert engine.status(house.log, PROJECTIONS) == before
    assert before[0].ready


def test_a_failing_fold_appends_nothing(url: str) -> None:
    """An event that access cannot fold is not appended; the next one is."""

    def fold(found: Recorded) -> list[Change]:
        if found.stream_id == BOB:
            raise ArithmeticError("no")
        return list(ACCESS.fold(found))

    house = open_house(url, [msgspec.structs.replace(ACCESS, fold=fold)])
    with house.log:
        with pytest.raises(ArithmeticError):
            house.append(BOB, CREATED)
        assert house.append(ALICE, CREATED) == [1]
