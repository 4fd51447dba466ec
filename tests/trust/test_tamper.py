"""The tamper matrix: whatever is done to the database, `verify` says so and names where it began.

Every manipulation is raw SQL on a copy of a log that a house wrote and signed, on both stores.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gatebook.store.checkpoints import CheckpointKey
from gatebook.tools.verify import EVENTS as SELECT
from gatebook.tools.verify import TILE, Tree, leaves
from tests.trust.evidence import COLUMNS, EVENTS, SIZES, Original

FIRST, MIDDLE, LAST = 1, 150, 300
PLACES = (FIRST, MIDDLE, LAST)
NEWEST = SIZES[-1]
FREE = 1_000_000
"""A position beyond any, through which rows are moved."""


def exactly(report, position):
    """Asserts that this very event is named."""
    assert not report.ok
    assert (report.first_bad, report.last_bad) == (position, position), str(report)


def within(report, position):
    """Asserts that the bracket that is named holds the event."""
    assert not report.ok
    assert report.first_bad <= position <= report.last_bad, str(report)


def shifted(low, by):
    """Moves all events from `low` on, by way of positions that nobody has."""
    return (
        (f"UPDATE log SET position = position + {FREE} WHERE position >= {low}"),
        (f"UPDATE log SET position = position - {FREE} + {by} WHERE position > {FREE}"),
    )


def recompute(original: Original, copy, *, sign: bool) -> None:
    """Writes tiles over the events as they are now, and heads if the key is at hand."""
    rows = iter(copy.run(SELECT))
    plain = ((*row[:2], getattr(row[2], "bytes", row[2]), *row[3:]) for row in rows)
    tree, at, statements = Tree(), 0, ["DELETE FROM tree_tiles", "DELETE FROM tree_heads"]
    while True:
        found, broken = leaves(plain, at + 1)
        assert broken is None
        sql = "INSERT INTO tree_tiles VALUES (0, ?, ?)"
        statements.append((sql, (at // TILE, b"".join(found))))
        if len(found) < TILE:
            break
        tree.add_tile(found)
        at += TILE
    size = at + len(found)
    root = tree.root(found)
    if sign:
        note = original.key.sign(size, root)
        sql = "INSERT INTO tree_heads VALUES (?, ?, ?, 1)"
        statements.append((sql, (size, root, note)))
    copy.run(*statements)


def test_an_untouched_copy_is_clean(original, copy):
    """All heads agree, and five events are newer than the newest of them."""
    report = original.verify(copy, "".join(original.notes))
    assert report.ok, str(report)
    assert (report.events, report.newest_head, report.uncovered) == (EVENTS, NEWEST, 5)
    assert report.heads == report.agreeing == len(original.notes) >= len(SIZES)


@pytest.mark.parametrize("tiles", [True, False], ids=["tiles", "no-tiles"])
@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_value(original, copy, column, position, tiles):
    """One bit of any column is found; with the stored tiles at hand the very event is named."""
    copy.run(copy.altered(column, position))
    if not tiles:
        copy.run("DROP TABLE tree_tiles")
    report = original.verify(copy)
    if tiles:
        exactly(report, position)
    else:
        within(report, position)
        assert report.last_bad in SIZES or report.last_bad <= min(SIZES)


@pytest.mark.parametrize("position", PLACES)
def test_a_changed_position(original, copy, position):
    """An event that was moved away is missed where it was."""
    copy.run(f"UPDATE log SET position = {FREE} WHERE position = {position}")
    exactly(original.verify(copy), position)


@pytest.mark.parametrize("position", PLACES)
def test_a_position_before_the_first(original, copy, position):
    """An event that was moved to the front is found, at the front."""
    copy.run(f"UPDATE log SET position = -3 WHERE position = {position}")
    exactly(original.verify(copy), 1)


@pytest.mark.parametrize("position", PLACES)
def test_a_deleted_event(original, copy, position):
    """A gap is named."""
    copy.run(f"DELETE FROM log WHERE position = {position}")
    exactly(original.verify(copy), position)


@pytest.mark.parametrize("position", PLACES[:2])
def test_a_deleted_event_whose_gap_was_closed(original, copy, position):
    """Renumbering what follows hides nothing."""
    copy.run(f"DELETE FROM log WHERE position = {position}", *shifted(position, -1))
    exactly(original.verify(copy), position)


@pytest.mark.parametrize("tiles", [True, False], ids=["tiles", "no-tiles"])
@pytest.mark.parametrize("end", [0, 99, 256, 299])
def test_a_deleted_tail(original, copy, end, tiles):
    """A log that ends before a head was signed ends too early; an emptied one at the first."""
    copy.run(f"DELETE FROM log WHERE position > {end}")
    if not tiles:
        copy.run("DELETE FROM tree_tiles")
    exactly(original.verify(copy), end + 1)


@pytest.mark.parametrize("position", PLACES)
def test_an_inserted_event(original, copy, position):
    """An event in between, with the others moved up, is named."""
    fields = "recorded_at, stream_id, version + 1000, topic, metadata, payload"
    copy.run(
        *shifted(position, 1),
        f"INSERT INTO log SELECT {position}, {fields} FROM log WHERE position = {EVENTS}",
    )
    exactly(original.verify(copy), position)


@pytest.mark.parametrize("position", PLACES)
def test_an_event_that_stands_twice(original, copy, position):
    """A second event at the same position, in a table without its key, is named."""
    copy.run(
        "CREATE TABLE loose AS SELECT * FROM log",
        "DROP TABLE log",
        "ALTER TABLE loose RENAME TO log",
        f"INSERT INTO log SELECT * FROM log WHERE position = {position}",
    )
    exactly(original.verify(copy), position)


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 300), (150, 151), (99, 299)])
def test_two_swapped_events(original, copy, low, high):
    """The first of two events that changed places is named."""
    copy.run(
        f"UPDATE log SET position = {FREE} WHERE position = {low}",
        f"UPDATE log SET position = {low} WHERE position = {high}",
        f"UPDATE log SET position = {high} WHERE position = {FREE}",
    )
    exactly(original.verify(copy), low)


@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("sign", [False, True], ids=["unsigned", "signed-again"])
def test_a_rewritten_history(original, copy, position, sign):
    """Every hash was made again, even the heads: the ones that are kept elsewhere tell."""
    copy.run(copy.altered("payload", position))
    recompute(original, copy, sign=sign)
    within(original.verify(copy, "".join(original.notes)), position)
    smallest = next(n for n in original.notes if int(n.split("\n")[1]) >= position)
    within(original.verify(copy, smallest), position)
    if sign:
        assert original.verify(copy).ok, "without a kept head an insider with the key is not seen"


def test_a_history_rewritten_by_the_tail_of_another(original, copy):
    """A log that was cut, and went on otherwise, signed: the kept heads tell, and from where on."""
    copy.run(
        "DELETE FROM log WHERE position > 120",
        "INSERT INTO log SELECT position + 100, recorded_at, stream_id, version + 5000, topic, "
        "metadata, payload FROM log WHERE position > 20",
        "INSERT INTO log SELECT position + 100, recorded_at, stream_id, version + 9000, topic, "
        "metadata, payload FROM log WHERE position > 120",
    )
    recompute(original, copy, sign=True)
    assert original.verify(copy).ok
    report = original.verify(copy, "".join(original.notes))
    within(report, 121)
    assert (report.first_bad, report.last_bad) == (101, 256)


def test_an_older_copy(original, copy):
    """A database that was rolled back as a whole is consistent, and shorter than was signed."""
    copy.run(
        "DELETE FROM log WHERE position > 100",
        "DELETE FROM tree_heads WHERE size > 100",
    )
    recompute(original, copy, sign=True)
    assert original.verify(copy).ok
    exactly(original.verify(copy, original.notes[-1]), 101)
    exactly(original.verify(copy, "".join(original.notes)), 101)


@pytest.mark.parametrize("kept", [True, False])
def test_an_emptied_log(original, copy, kept):
    """Without any event the heads remain, in the database or elsewhere; without heads nothing is
    proven."""
    copy.run("DELETE FROM log", "DELETE FROM tree_tiles")
    exactly(original.verify(copy), 1)
    copy.run("DELETE FROM tree_heads")
    report = original.verify(copy, *([original.notes[-1]] if kept else []))
    assert not report.ok
    assert report.first_bad == (1 if kept else None)


def test_an_unsigned_event_that_was_changed(original, copy):
    """What no head covers is not vouched for, and said so; a stored tile still gives it away."""
    copy.run(copy.altered("payload", EVENTS))
    report = original.verify(copy)
    assert report.ok
    assert report.uncovered == 5
    recompute(original, copy, sign=False)
    copy.run(*(f"DELETE FROM tree_heads WHERE size = {s}" for s in SIZES))
    copy.run(copy.altered("payload", EVENTS - 1))
    exactly(original.verify(copy, original.notes[-1]), EVENTS - 1)


@pytest.mark.parametrize("first", [20, 41, 150])
def test_the_first_of_several_is_named(original, copy, first):
    """A changed event, a gap behind it and a cut tail: the change came first."""
    copy.run(
        copy.altered("topic", first),
        "DELETE FROM log WHERE position = 200",
        "DELETE FROM log WHERE position > 280",
    )
    exactly(original.verify(copy), first)


def test_a_tile_that_was_changed_is_not_blamed_on_an_event(original, copy):
    """Stored hashes are not trusted: when the events lead to the signed root, the tile is wrong."""
    ((hashes,),) = copy.run("SELECT hashes FROM tree_tiles WHERE level = 0 AND tile = 0")
    changed = bytes([hashes[0] ^ 1]) + bytes(hashes[1:])
    copy.run(("UPDATE tree_tiles SET hashes = ? WHERE level = 0 AND tile = 0", (changed,)))
    report = original.verify(copy)
    assert [one.kind for one in report.problems] == ["tile"]
    assert report.first_bad is None


def test_a_tile_and_an_event_that_were_changed_alike(original, copy):
    """A tile that was made to fit the changed event leads to no signed root: a bracket is named."""
    copy.run(copy.altered("payload", MIDDLE))
    notes = "".join(original.notes)
    heads = copy.run("SELECT * FROM tree_heads")
    recompute(original, copy, sign=False)
    insert = "INSERT INTO tree_heads VALUES (?, ?, ?, ?)"
    copy.run(*((insert, head) for head in heads))
    report = original.verify(copy, notes)
    assert (report.first_bad, report.last_bad) == (101, 256)


def forged(note):
    """The note with one bit of its signature changed."""
    head, _, encoded = note.rstrip("\n").rpartition(" ")
    raw = base64.b64decode(encoded)
    return f"{head} {base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()}\n"


@pytest.mark.parametrize("where", ["table", "file"])
def test_a_head_with_a_false_signature(original, copy, where):
    """A head that nobody signed counts for nothing, and is named."""
    note = forged(original.notes[-1])
    if where == "table":
        copy.run(("UPDATE tree_heads SET note = ? WHERE size = ?", (note, NEWEST)))
    report = original.verify(copy, *([note] if where == "file" else []))
    assert [one.kind for one in report.problems] == ["head"]
    assert "signature is false" in str(report)


@pytest.mark.parametrize("name", ["own", "borrowed"])
def test_a_head_of_another_key(original, copy, name):
    """A head under another key is refused, also when it goes by the name of the right one."""
    note = CheckpointKey(b"s" * 32).sign(NEWEST, bytes(32))
    if name == "borrowed":
        origin = note.partition("\n")[0]
        note = note.replace(origin, original.vkey.origin)
    report = original.verify(copy, note)
    assert [one.kind for one in report.problems] == ["head"]
    assert "none of the 1 heads in kept 1 is signed with this key" in str(report)


def test_two_heads_of_one_size(original, copy):
    """The signer contradicts himself: both heads are named, and the one that is not of this log."""
    other = original.key.sign(100, bytes(32))
    report = original.verify(copy, "".join(original.notes), other)
    assert {one.kind for one in report.problems} == {"fork", "changed"}
    assert "kept 2" in str(report)


def test_a_head_whose_row_was_altered(original, copy):
    """The columns beside a note say what the note says."""
    copy.run(f"UPDATE tree_heads SET size = 299 WHERE size = {NEWEST}")
    assert [one.kind for one in original.verify(copy).problems] == ["head"]


def test_a_log_without_any_head_proves_nothing(original, copy):
    """Heads that were taken away do not make a log good."""
    copy.run("DELETE FROM tree_heads")
    report = original.verify(copy)
    assert [one.kind for one in report.problems] == ["unproven"]


@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("column", ["topic", "metadata", "payload"])
def test_a_value_of_another_kind(original, copy, column, position):
    """TEXT that was made BLOB, or BLOB TEXT, in a table that was rewritten for it, is a change."""
    if not copy.on_sqlite:
        kind = "bytea USING convert_to(topic, 'UTF8')" if column == "topic" else None
        copy.run(
            f"ALTER TABLE log ALTER COLUMN {column} TYPE "
            + (kind or f"text USING encode({column}, 'escape')")
        )
        exactly(original.verify(copy), 1)
        return
    kind = "BLOB" if column == "topic" else "TEXT"
    copy.run(
        "CREATE TABLE loose AS SELECT * FROM log",
        "DROP TABLE log",
        "ALTER TABLE loose RENAME TO log",
        f"UPDATE log SET {column} = CAST({column} AS {kind}) WHERE position = {position}",
    )
    exactly(original.verify(copy), position)


def test_a_page_of_the_file_that_was_zeroed(original, copy):
    """Damage below SQL is named by the first event that cannot be read any more."""
    if not copy.on_sqlite:
        pytest.skip("the pages of a server are not at hand")
    path = Path(copy.url.removeprefix("sqlite:///"))
    ((payload, size),) = copy.run(
        "SELECT payload, page_size FROM log, pragma_page_size WHERE position = 150"
    )
    content = bytearray(path.read_bytes())
    start = content.index(payload) // size * size
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    report = original.verify(copy)
    assert [one.kind for one in report.problems] == ["broken"]
    assert 100 < report.first_bad <= 150
