"""Something else than Gatebook that drops rows on their way into the log."""

from __future__ import annotations

import pytest
from eventsourcing.persistence import OperationalError

from gatebook.store.log import Log
from tests.store.notes import note, put

_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER thief BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END",
        "DROP TRIGGER thief",
    ),
    "postgresql": (
        "CREATE FUNCTION thief() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
        "CREATE TRIGGER thief BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION thief()",
        "DROP TRIGGER thief ON log",
    ),
}


@pytest.mark.parametrize("count", [1, 3])
def test_an_append_whose_rows_are_left_out_fails(log: Log, count: int) -> None:
    """It is not answered as if it had been recorded, and the next one goes in."""
    make, drop = _TRIGGERS[log.dialect]
    with log.writing() as tx:
        for statement in make.split("; CREATE TRIGGER"):
            tx.execute(
                statement if statement.startswith("CREATE") else f"CREATE TRIGGER{statement}"
            )
    with pytest.raises(OperationalError, match="left out"):
        put(log, *(note() for _ in range(count)))
    assert log.head() == 0
    with log.writing() as tx:
        tx.execute(drop)
    assert put(log, note()) == [1]
