"""Changes, alone and in batches: three ways to the same rows."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatebook.projections import batch
from gatebook.projections.batch import execute, plan
from gatebook.projections.bulk import bulk_sql
from gatebook.projections.changes import Change, Drop, DropWhere, Patch, Put, sql, statement
from gatebook.projections.ports import Row, Transaction, Value
from gatebook.projections.tables import (
    Column,
    Table,
    create_indexes,
    create_table,
    select_in_key_order,
)
from gatebook.store.log import Log

THINGS = Table(
    "things",
    (
        Column("owner", "bytes"),
        Column("name", "text"),
        Column("size", "integer"),
        Column("mark", "text", null=True),
        Column("seal", "bytes", null=True),
    ),
    key=("owner", "name"),
    indexes=(("size",),),
)
SIMPLE = Table("simple", (Column("id", "integer"), Column("n", "integer")), key=("id",))
OWNERS = [UUID(int=n).bytes for n in (1, 2)]

keys = st.tuples(st.sampled_from(OWNERS), st.sampled_from(["a", "b", "é"]))
sizes = st.integers(-3, 3)
marks = st.sampled_from([None, "x", "y"])


def thing(key: tuple[bytes, str], size: int, mark: str | None) -> dict[str, Value]:
    """A whole row."""
    return {"owner": key[0], "name": key[1], "size": size, "mark": mark, "seal": None}


patches = st.builds(
    lambda key, values, add, when: Patch(
        THINGS, key, values or {"seal": b"s"}, {} if "size" in values else add, when
    ),
    keys,
    st.dictionaries(st.just("mark"), marks) | st.dictionaries(st.just("size"), sizes),
    st.just({}) | st.fixed_dictionaries({"size": sizes}),
    st.none() | st.tuples(st.just("mark"), st.sampled_from(["x", "y"]))
    | st.tuples(st.just("size"), sizes),
)  # fmt: skip
simple_changes = st.builds(lambda key, n: Put(SIMPLE, {"id": key, "n": n}), sizes, sizes) | (
    st.builds(lambda key, n: Patch(SIMPLE, (key,), {}, {"n": n}), sizes, sizes)
)
changes = st.one_of(
    st.builds(lambda key, size, mark: Put(THINGS, thing(key, size, mark)), keys, sizes, marks),
    patches,
    patches,
    st.builds(lambda key: Drop(THINGS, key), keys),
    st.builds(lambda op, size: DropWhere(THINGS, "size", op, size), st.sampled_from("<="), sizes),
    simple_changes,
)


class Undone(Exception):
    """Rolls a transaction back."""


def model(made: list[Change]) -> dict[Table, dict[tuple[Value, ...], dict[str, Value]]]:
    """The same changes on dictionaries."""
    tables: dict[Table, dict[tuple[Value, ...], dict[str, Value]]] = {THINGS: {}, SIMPLE: {}}
    for change in made:
        rows = tables[change.table]
        match change:
            case Put(table=table, row=row):
                rows[table.key_of(row)] = dict(row)
            case Drop(key=key):
                rows.pop(key, None)
            case DropWhere(column=column, op=op, value=value):
                doomed = [
                    key
                    for key, row in rows.items()
                    if (row[column] == value if op == "=" else int(row[column] or 0) < value)  # type: ignore[operator] # sizes
                ]
                for key in doomed:
                    del rows[key]
            case Patch(key=key, values=values, add=add, when=when):
                row_ = rows.get(key)
                if row_ is not None and (when is None or row_[when[0]] == when[1]):
                    row_.update(values)
                    for column, amount in add.items():
                        row_[column] += amount  # type: ignore[operator] # sizes
    return tables


def found(tx: Transaction, table: Table, suffix: str) -> list[Row]:
    """All rows."""
    return tx.query(select_in_key_order(table, suffix))


@pytest.fixture(params=[1, 16], ids=["bulk", "mixed"])
def threshold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL: bulk statements for two rows and more, and as the program has it."""
    monkeypatch.setattr(batch, "WORTHWHILE", request.param)


@pytest.mark.usefixtures("threshold")
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(made=st.lists(changes, max_size=25))
def test_batch_equals_one_by_one(log: Log, made: list[Change]) -> None:
    """A batch leaves the rows that its changes leave one by one, which are those of a model."""
    with pytest.raises(Undone):
        compare(log, made)


def compare(log: Log, made: list[Change]) -> None:
    """Does it all in one transaction, and raises Undone when nothing differs."""
    expected = model(made)
    with log.writing() as tx:
        for table in (THINGS, SIMPLE):
            for suffix in ("", "__next"):
                tx.execute(create_table(table, tx.dialect, suffix=suffix, generation=len(suffix)))
        for change in made:
            shape, row = statement(change)
            tx.execute(sql(change.table, "", shape), row)
        execute(tx, plan(made), "__next")
        for table in (THINGS, SIMPLE):
            rows = [table.values_of(row) for _, row in sorted(expected[table].items())]
            assert found(tx, table, "") == rows
            assert found(tx, table, "__next") == rows
        raise Undone


def test_changes_on_one_key_are_one_statement() -> None:
    """What happens to one row within a batch is written once."""
    key = (OWNERS[0], "a")
    made: list[Change] = [Put(THINGS, thing(key, 0, None))]
    made += [Patch(THINGS, key, {"mark": "x"}, {"size": 1}) for _ in range(1_000)]

    (step,) = plan(made)

    assert step.rows == [(OWNERS[0], "a", 1_000, "x", None)]


def test_a_guarded_patch_does_not_end_the_batch() -> None:
    """Rows of other keys stay together around a patch that depends on what is stored."""
    guarded = Patch(THINGS, (OWNERS[0], "a"), {"mark": None}, when=("mark", "x"))
    others = [Patch(THINGS, (OWNERS[1], name), {"size": 1}) for name in "abcd"]

    steps = plan([*others[:2], guarded, *others[2:]])

    assert sorted(len(step.rows) for step in steps) == [1, 4]


def test_text_keys_are_ordered_by_bytes(log: Log) -> None:
    """Rows come in the same order from both stores, capitals and accents included."""
    names = ["b", "B", "a", "é", "Z", "_"]
    with log.writing() as tx:
        tx.execute(create_table(THINGS, tx.dialect, suffix="", generation=1))
        for statement_ in create_indexes(THINGS, suffix="", generation=1) * 2:
            tx.execute(statement_)
        execute(tx, plan(Put(THINGS, thing((OWNERS[0], name), 1, None)) for name in names))
        rows = found(tx, THINGS, "")

    assert [row[1] for row in rows] == ["B", "Z", "_", "a", "b", "é"]


def test_an_unknown_shape_is_refused() -> None:
    """There is no statement for a shape that no change has."""
    for write in (sql, bulk_sql):
        with pytest.raises(ValueError, match="has the shape"):
            write(THINGS, "", ("other",))


def test_many_rows_keep_every_kind_of_value(log: Log) -> None:
    """Binary values, empty ones, quotes, backslashes and large numbers survive a bulk statement."""
    rows = [
        {
            "owner": bytes(range(256)),
            "name": f"'\"\\{n}é\n",
            "size": 2**62 + n,
            "mark": None,
            "seal": b"",
        }
        for n in range(40)
    ]
    with log.writing() as tx:
        tx.execute(create_table(THINGS, tx.dialect, suffix="", generation=1))
        execute(tx, plan(Put(THINGS, row) for row in rows))
        stored = found(tx, THINGS, "")

    assert stored == sorted(tuple(row.values()) for row in rows)
