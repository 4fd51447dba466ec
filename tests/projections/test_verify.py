"""Verifying: what is not in the log is found, row by row."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from gatebook.domain import account
from gatebook.projections import audit, engine
from gatebook.projections.access import ACCESS
from gatebook.projections.digest import digest
from gatebook.projections.errors import FoldFailed, SwitchedMeanwhile, UnknownProjection
from gatebook.projections.ports import Transaction, Value
from gatebook.projections.projection import Projection
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.tables import Kind, Table
from gatebook.projections.verify import Verdict, verify
from gatebook.store.log import Log
from gatebook.tools.bench.synthesize import synthesize
from tests.projections.house import House, StoppedClock, scratch, session_opened
from tests.wire.samples import ENTRIES

RARE = (
    "api_key.created.1",
    "breakglass.credential_set.1",
    "provider.created.1",
    "group_mapping.added.1",
    "identity.linked.1",
    "session.federated.1",
)
"""Topics that the synthetic log has none of, each with a table of its own."""

CREATED = account.AccountCreated(kind="human", profile=account.Profile("alice"))
OPENED = session_opened(UUID(int=1))
EVERY_TABLE = [(projection, table) for projection in PROJECTIONS for table in projection.tables]


def quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def lived(log: Log) -> House:
    """A store with a log of a thousand events, all read models level with it."""
    synthesize(log, 1_000, seed=5)
    house = House(log)
    for number, topic in enumerate(RARE):
        house.append(UUID(int=77 + number), ENTRIES[topic].event)
    engine.ensure(log, PROJECTIONS, StoppedClock())
    house.follow()
    return house


def check(house: House, projection: Projection, folder: Path) -> Verdict:
    """Verifies a projection."""
    with scratch(folder) as tx:
        return verify(house.log, projection, tx, quiet)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_what_follows_from_the_log_is_found_right(
    lived: House, tmp_path: Path, projection: Projection
) -> None:
    """An untouched read model is right at the head, with equal digests and every row counted."""
    found = check(lived, projection, tmp_path)

    assert found.ok
    assert found.position == lived.log.head()
    for table, verdict in zip(projection.tables, found.tables, strict=True):
        assert verdict.rows == len(lived.rows(table))
        assert (verdict.different, verdict.differences) == (0, [])
        with lived.log.reading() as reader:
            assert verdict.live == verdict.folded == digest(reader, table)


def corrupt(house: House, table: Table) -> None:
    """Changes one value of one row in the middle, or drops a row that is all key."""
    row = house.rows(table)[len(house.rows(table)) // 2]
    where = " AND ".join(f"{name} = ?" for name in table.key)
    key = [row[table.names.index(name)] for name in table.key]
    column = next((c for c in reversed(table.columns) if c.name not in table.key), None)
    wrong: dict[Kind, Value] = {"bytes": b"wrong", "text": "wrong", "integer": 123}
    with house.log.writing() as tx:
        if column is None:
            tx.execute(f"DELETE FROM {table.name} WHERE {where}", key)
        else:
            tx.execute(
                f"UPDATE {table.name} SET {column.name} = ? WHERE {where}",
                (wrong[column.kind], *key),
            )


@pytest.mark.parametrize(
    ("projection", "table"),
    [(p, t) for p, t in EVERY_TABLE if t.name != "access_keys"],
    ids=lambda value: value.name,
)
def test_one_corrupted_row_is_found(
    lived: House, tmp_path: Path, projection: Projection, table: Table
) -> None:
    """A single changed value in any table is found and shown beside what the log says."""
    corrupt(lived, table)

    found = check(lived, projection, tmp_path)

    assert not found.ok
    (wrong,) = [verdict for verdict in found.tables if verdict.live != verdict.folded]
    assert (wrong.table, wrong.different) == (table.name, 1)
    (shown,) = wrong.differences
    assert shown.folded is not None
    assert len(shown.key) == len(table.key)
    if table.names == table.key:
        assert shown.live is None, "a row that is all key was dropped"
        return
    assert shown.live is not None
    changed = [name for name in table.names if shown.live[name] != shown.folded[name]]
    assert len(changed) == 1


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_missing_and_added_rows_are_found(
    lived: House, tmp_path: Path, projection: Projection
) -> None:
    """A row that is gone has no live side, one that the log does not know no folded side."""
    table = projection.tables[0]
    first, *_, last = lived.rows(table)
    place = table.names.index(table.key[0])
    moved = b"\xff" * 16 if isinstance(last[place], bytes) else 10**9
    with lived.log.writing() as tx:
        tx.execute(f"DELETE FROM {table.name} WHERE {table.key[0]} = ?", (first[place],))
        tx.execute(
            f"UPDATE {table.name} SET {table.key[0]} = ? WHERE {table.key[0]} = ?",
            (moved, last[place]),
        )

    (wrong,) = [v for v in check(lived, projection, tmp_path).tables if v.different]

    assert [(d.live is None, d.folded is None) for d in wrong.differences] == [
        (True, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_one_skipped_event_is_found(lived: House, tmp_path: Path, projection: Projection) -> None:
    """A projection whose position went past an event without its changes is found wrong."""
    head = lived.log.head()
    # Appended by a program that knows no inline projection: `access` stays where it was.
    lived.append(UUID(int=1), CREATED)
    lived.append(UUID(int=2), OPENED)
    with lived.log.writing() as tx:
        tx.execute(
            "UPDATE projections SET position = ? WHERE name = ? AND position = ?",
            (head + 2, projection.name, head),
        )
    found = check(lived, projection, tmp_path)

    assert (found.ok, found.position) == (False, head + 2)


def test_differences_are_bounded(lived: House, tmp_path: Path) -> None:
    """However much is wrong, it is counted, and ten rows of a table are shown."""
    with lived.log.writing() as tx:
        tx.execute("DELETE FROM audit")

    (wrong,) = check(lived, audit.PROJECTION, tmp_path).tables

    assert wrong.rows == 0
    assert wrong.different == lived.log.head()
    assert [shown.key for shown in wrong.differences] == [(n,) for n in range(1, 11)]


def test_what_cannot_be_verified_says_so(lived: House, scratch_tx: Transaction) -> None:
    """Another version, an unknown projection and an unreadable event are errors, not verdicts."""
    newer = msgspec.structs.replace(ACCESS, version=ACCESS.version + 1)
    with pytest.raises(SwitchedMeanwhile):
        verify(lived.log, newer, scratch_tx, quiet)
    other = msgspec.structs.replace(ACCESS, name="other")
    with pytest.raises(UnknownProjection):
        verify(lived.log, other, scratch_tx, quiet)

    bad = lived.append_unreadable(lived.log.read(0, 1)[0].id)
    with lived.log.writing() as tx:
        tx.execute("UPDATE projections SET position = ? WHERE name = 'audit'", (bad,))
    with pytest.raises(FoldFailed, match=f"event {bad}"):
        verify(lived.log, audit.PROJECTION, scratch_tx, quiet)
