"""Tiles, heads and logs that were changed: found, stopped at, mended where the log allows it."""

from __future__ import annotations

import pytest

from gatebook.domain import checkpoints
from gatebook.projections import tree_tables as tables
from gatebook.projections.errors import ReadModelBehind
from gatebook.projections.tree_scan import TreeRefuted, rebuild, scan
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.house import system
from gatebook.store.tree_accept import NothingToAccept, accept, conflict_stands
from gatebook.store.tree_signer import TreeSigner
from tests.tree.conftest import happen
from tests.tree.test_signer import happened


def quiet(_done: int, _total: int) -> None:
    pass


def change(house, sql: str, *params: object) -> None:
    """What somebody with write access to the database can do to the tree's tables."""
    with house.store.writing() as tx:
        assert tx.execute(sql, params) > 0


@pytest.fixture
def signed(house):
    """A log with some hundred events, signed twice."""
    signer = TreeSigner(house)
    happen(house, 300)
    signer.round()
    happen(house, 5)
    signer.round()
    return house


DAMAGES = {
    "a hash": "UPDATE tree_tiles SET hashes = zeroed WHERE level = 0 AND tile = 1",
    "a missing tile": "DELETE FROM tree_tiles WHERE level = 0 AND tile = 1",
    "a missing upper tile": "DELETE FROM tree_tiles WHERE level = 1",
    "all": "DELETE FROM tree_tiles",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_tiles_stop_the_signing_and_are_mended_from_the_log(signed, name):
    """No head is signed over damaged tiles; a rebuild mends them, and signing goes on."""
    zeroed = (
        "zeroblob(1568)"
        if signed.store.dialect == "sqlite"
        else "decode(repeat('00', 1568), 'hex')"
    )
    before = tables.newest_head(signed.store)
    change(signed, DAMAGES[name].replace("zeroed", zeroed))
    happen(signed)

    TreeSigner(signed).round()

    halted = tables.state(signed.store).halted
    assert halted is not None
    assert tables.newest_head(signed.store) == before
    rebuild(signed.store, quiet, lambda: conflict_stands(signed))
    assert scan(signed.store, quiet).ok
    TreeSigner(signed).round()
    head = tables.newest_head(signed.store)
    assert head is not None
    assert head.size == signed.store.head()
    assert scan(signed.store, quiet).heads == 3


def test_a_size_that_was_moved_back_is_made_good(signed):
    """The tree grows from there once more, and must come to the head that was signed."""
    change(signed, "UPDATE tree_state SET size = 3")
    happen(signed)
    TreeSigner(signed).round()
    assert tables.state(signed.store) == tables.State(signed.store.head(), None)
    assert scan(signed.store, quiet).heads == 3


def test_a_damaged_full_tile_is_found_by_verifying(signed):
    """What no head of today reads is found by hashing the log anew, and named."""
    happen(signed, 300)
    TreeSigner(signed).round()
    change(signed, "UPDATE tree_tiles SET hashes = ? WHERE level = 0 AND tile = 0", b"\1" * 8192)
    found = scan(signed.store, quiet)
    assert (found.wrong_tiles, found.wrong_heads) == ([(0, 0)], [])
    assert rebuild(signed.store, quiet, lambda: False).wrong_tiles == [(0, 0)]
    assert scan(signed.store, quiet).ok


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_changed_log_is_refused_by_a_rebuild(signed):
    """A log that does not hash to a signed head keeps its old tiles: they are the evidence."""
    happen(signed)
    TreeSigner(signed).round()
    tiles = signed.store.query("SELECT * FROM tree_tiles ORDER BY level, tile")
    with signed.store.writing() as tx:
        tx.execute("DROP TRIGGER log_refuses_update")
        tx.execute("UPDATE log SET recorded_at = recorded_at + 1 WHERE position = 17")
    with pytest.raises(TreeRefuted, match="that was signed"):
        rebuild(signed.store, quiet, lambda: False)
    assert tiles == signed.store.query("SELECT * FROM tree_tiles ORDER BY level, tile")
    found = scan(signed.store, quiet)
    assert len(found.wrong_heads) == 3
    assert found.wrong_tiles[0] == (0, 0)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_log_that_was_cut_stops_the_signing(signed):
    """Events that a head covers and the log has not: a conflict, recorded once, until decided."""
    end, signer = signed.store.head(), TreeSigner(signed)
    signer.round()
    with signed.store.writing() as tx:
        tx.execute("DROP TRIGGER log_refuses_delete")
        tx.execute("DELETE FROM log WHERE position > ?", (end - 4,))
    with pytest.raises(ReadModelBehind):
        signer.round()  # no event fits behind a log that was cut; nothing is signed either way
    assert "was cut" in str(tables.state(signed.store).halted)
    signed.prepare(accept_shorter_log=True)
    for _ in range(2):
        signer.round()
        TreeSigner(signed).round()
    (conflict,) = happened(signed, checkpoints.CheckpointConflicted)
    assert (conflict.witness, conflict.size) == ("store", end)
    with pytest.raises(TreeRefuted):
        rebuild(signed.store, quiet, lambda: conflict_stands(signed))
    with pytest.raises(NothingToAccept, match="no witness"):
        accept(signed, "nothing.txt", "why", system())

    # The witness was told of the same head, and is another's to decide about.
    assert accept(signed, "store", "a test", system()).size == end
    TreeSigner(signed).round()
    assert "witness.txt" in str(tables.state(signed.store).halted)
    assert accept(signed, "witness.txt", "a test", system()).size == end
    TreeSigner(signed).round()
    head = tables.newest_head(signed.store)
    assert head is not None
    assert head.size == signed.store.head()
    assert scan(signed.store, quiet).ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE tree_heads SET root = ? WHERE size = ?",
        "UPDATE tree_heads SET note = 'x' || coalesce(CAST(? AS text), '') WHERE size = ?",
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_changed_head_stops_the_signing(signed, sql):
    """A newest head that is not what was signed is not believed."""
    head = tables.newest_head(signed.store)
    assert head is not None
    change(signed, sql, b"\2" * 32, head.size)
    TreeSigner(signed).round()
    assert tables.state(signed.store).halted is not None
    assert accept(signed, "store", "a test", system()).size == head.size
    TreeSigner(signed).round()
    assert tables.state(signed.store).halted is None


def test_a_head_that_was_signed_for_another_log_is_a_conflict(signed):
    """Our own signature under another root, beside the log: recorded with that root."""
    key, other = checkpoint_key(signed.keyring), b"\3" * 32
    head = tables.newest_head(signed.store)
    assert head is not None
    note = key.sign(head.size, other)
    change(
        signed,
        "UPDATE tree_heads SET root = ?, note = ? WHERE size = ?",
        other,
        note,
        head.size,
    )
    TreeSigner(signed).round()
    (conflict,) = happened(signed, checkpoints.CheckpointConflicted)
    assert (conflict.witness, conflict.size, conflict.root) == ("store", head.size, other)
