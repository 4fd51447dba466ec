"""The slow look over one's own shoulder: whatever is not in the log is found within a round."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import UUID

import pytest

from gatebook.domain import deployment
from gatebook.projections import bookkeeping, engine, self_check
from gatebook.projections.differences import Difference
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.self_check import SelfCheck
from gatebook.projections.tables import Table
from gatebook.store.log import Log
from gatebook.tools.bench.synthesize import synthesize
from tests.projections.house import House, StoppedClock, scratch, session_opened
from tests.projections.test_verify import CREATED, EVERY_TABLE, OPENED, RARE, corrupt
from tests.wire.samples import ENTRIES


@pytest.fixture
def lived(log: Log, monkeypatch: pytest.MonkeyPatch) -> House:
    """A store with a log of a thousand events, looked at in small slices."""
    monkeypatch.setattr(self_check, "SLICE", 100)
    monkeypatch.setattr(self_check, "FOLDED", 300)
    synthesize(log, 1_000, seed=5)
    house = House(log)
    for number, topic in enumerate(RARE):
        house.append(UUID(int=77 + number), ENTRIES[topic].event)
    engine.ensure(log, PROJECTIONS, StoppedClock())
    house.follow()
    return house


def a_round(check: SelfCheck, house: House) -> tuple[int, list[Difference]]:
    """Rows compared and differences found, until every row was compared once."""
    rows, found = 0, list[Difference]()
    for _ in range(500):
        look = check.look(house.log)
        assert look is not None
        rows += look.rows
        found += look.found
        if look.round_over:
            return rows, found
    raise AssertionError("a round without an end")


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_what_follows_from_the_log_is_found_right(
    lived: House, tmp_path: Path, projection: Projection
) -> None:
    """Every row is compared in each round, and none differs, also after more has happened."""
    with scratch(tmp_path) as tx:
        check = SelfCheck(projection, tx)
        for _ in range(2):
            expected = sum(len(lived.rows(table)) for table in projection.tables)
            assert a_round(check, lived) == (expected, [])
            lived.append(UUID(int=lived.log.head()), session_opened(UUID(int=1)))
            lived.follow()


@pytest.mark.parametrize(
    ("projection", "table"),
    [(p, t) for p, t in EVERY_TABLE if t.name != "access_keys"],
    ids=lambda value: value.name,
)
def test_one_corrupted_row_is_found(
    lived: House, tmp_path: Path, projection: Projection, table: Table
) -> None:
    """A changed value in any table is found in the round after, and no more once it is mended."""
    with scratch(tmp_path) as tx:
        check = SelfCheck(projection, tx)
        assert a_round(check, lived)[1] == []
        corrupt(lived, table)

        (found,) = a_round(check, lived)[1]
        assert found.table == table.name
        rebuild(lived.log, projection, StoppedClock(), lambda _done, _total: None)
        assert a_round(check, lived)[1] == []


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_rows_that_are_too_many_are_found(
    lived: House, tmp_path: Path, projection: Projection
) -> None:
    """A row that no event has made is found, at the end of a table as well."""
    table = projection.tables[0]
    last = lived.rows(table)[-1]
    key = table.key[0]
    moved = b"\xff" * 16 if isinstance(last[table.names.index(key)], bytes) else 10**9
    with lived.log.writing() as tx:
        tx.execute(
            f"UPDATE {table.name} SET {key} = ? WHERE {key} = ?",
            (moved, last[table.names.index(key)]),
        )
    with scratch(tmp_path) as tx:
        found = a_round(SelfCheck(projection, tx), lived)[1]

    assert sorted((d.live is None, d.folded is None) for d in found) == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_one_skipped_event_is_found(lived: House, tmp_path: Path, projection: Projection) -> None:
    """A position that went past an event without its changes; an operator's skip is none such."""
    with scratch(tmp_path) as tx:
        check = SelfCheck(projection, tx)
        assert a_round(check, lived)[1] == []
        head = lived.log.head()
        # Appended by a program that knows no inline projection, and passed over.
        lived.append(UUID(int=1), CREATED)
        lived.append(UUID(int=2), OPENED)
        with lived.log.writing() as writing:
            writing.execute(
                "UPDATE projections SET position = ? WHERE name = ? AND position = ?",
                (head + 2, projection.name, head),
            )

        found = a_round(check, lived)[1]
        assert found
        assert all(one.live is None for one in found)

    skips = [
        deployment.ProjectionEventSkipped(projection.name, position)
        for position in (head + 1, head + 2)
    ]
    lived.append(deployment.STREAM_ID, *skips)
    with lived.log.writing() as writing:
        for skip in skips:
            bookkeeping.skip(writing, projection.name, skip.position)
    with scratch(tmp_path, "another") as tx:
        assert a_round(SelfCheck(projection, tx), lived)[1] == []


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_no_false_alarm_while_much_happens(
    house: House, tmp_path: Path, projection: Projection
) -> None:
    """Rounds that run while others append and a follower follows find nothing."""
    stop = threading.Event()

    def busy() -> None:
        for number in range(400):
            if stop.is_set():
                return
            house.append(UUID(int=10_000 + number), session_opened(UUID(int=number % 7)))
            if number % 10 == 0:
                house.follow()

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        with scratch(tmp_path) as tx:
            check = SelfCheck(projection, tx)
            for _ in range(4):
                assert a_round(check, house)[1] == []
    finally:
        stop.set()
        writer.join(timeout=60)
