"""Roots, proofs and tiles against the RFC's own words, in every small tree and some large ones."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatebook.projections.leaf import entry_of
from gatebook.projections.merkle import (
    EMPTY_ROOT,
    Subtree,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root,
)
from gatebook.projections.tiles import (
    LARGEST,
    WIDTH,
    Subtrees,
    TilesDamaged,
    parsed,
    path_of,
    width_at,
)
from gatebook.projections.tree import Tower
from tests.tree import naive

ALL = 300
LEAVES = [leaf_hash(n.to_bytes(4, "big")) for n in range(ALL)]


def row(position: int) -> tuple[int, int, bytes, int, str, bytes, bytes]:
    return (position, position * 7, b"s" * 16, position, "made.up.1", b"m", b"p%d" % position)


def grown(size: int, batch: int = 4_096) -> tuple[Tower, Subtree]:
    """A tower over made-up events, and its hashes out of the tiles that it wrote."""
    tower, tiles = Tower(), dict[tuple[int, int], bytes]()
    while tower.size < size:
        end = min(size, tower.size + batch)
        tiles |= tower.grow([row(n) for n in range(tower.size + 1, end + 1)]).tiles
    return tower, Subtrees(lambda level, tile: tiles[level, tile])


def of_leaves(leaves: list[bytes]) -> Subtree:
    return lambda height, index: naive.mth(leaves[index << height : (index + 1) << height])


def test_hashes_are_those_of_the_rfc():
    """The empty tree, a leaf and a node have the hashes that RFC 6962's test vectors give."""
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c14")
    empty_leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"").hex() == empty_leaf
    assert leaf_hash(b"") == sha256(b"\0").digest()
    assert node_hash(b"a" * 32, b"b" * 32) == sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()


def test_every_root_and_inclusion_path_of_small_trees():
    """Every tree of up to 300 leaves, and in it every leaf of a spread, is as the RFC has it."""
    for size in range(1, ALL + 1):
        leaves = LEAVES[:size]
        subtree = of_leaves(leaves)
        assert root(size, subtree) == naive.mth(leaves)
        for leaf in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
            assert inclusion_path(leaf, size, subtree) == naive.path(leaf, leaves)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 63, 64, 65, 100, 255, 256, 257, 300])
def test_every_consistency_path_of_small_trees(size):
    """From every smaller size the proof is the RFC's."""
    leaves = LEAVES[:size]
    subtree = of_leaves(leaves)
    for first in range(1, size + 1):
        assert consistency_path(first, size, subtree) == naive.proof(first, leaves)


@given(size=st.integers(1, ALL), data=st.data())
def test_any_pair_of_sizes(size, data):
    """Any leaf and any earlier size, at any size."""
    first, leaf = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    subtree = of_leaves(leaves)
    assert consistency_path(first, size, subtree) == naive.proof(first, leaves)
    assert inclusion_path(leaf, size, subtree) == naive.path(leaf, leaves)


@pytest.mark.parametrize(("leaf", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_path_outside_the_tree(leaf, size):
    """A leaf that is not in the tree has no path."""
    with pytest.raises(ValueError, match="leaf"):
        inclusion_path(leaf, size, of_leaves(LEAVES[:size]))


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3)])
def test_no_proof_backwards(first, second):
    """No proof leads from nothing, nor to a smaller tree."""
    with pytest.raises(ValueError, match="proof"):
        consistency_path(first, second, of_leaves(LEAVES[:second]))


@pytest.mark.parametrize("batch", [1, 100, 256, 4_096])
def test_tiles_hash_to_what_the_leaves_do(batch):
    """However the events come in, tiles and tower give the naive root, at each edge of a tile."""
    for size in (1, 255, 256, 257, 511, 512, 513, 700):
        tower, subtree = grown(size, batch)
        expected = naive.mth([leaf_hash(entry_of(row(n))) for n in range(1, size + 1)])
        assert tower.root() == expected
        assert root(size, subtree) == expected


def test_large_trees():
    """Beyond 256 * 256 leaves, with three levels of tiles, random proofs are the RFC's."""
    size = 65_536 + 4_321
    _tower, subtree = grown(size)
    leaves = [leaf_hash(entry_of(row(n))) for n in range(1, size + 1)]
    dice = random.Random(5)
    for at in (65_535, 65_536, 65_537, size, *(dice.randrange(2, size) for _ in range(3))):
        leaf, first = dice.randrange(at), dice.randrange(1, at)
        assert root(at, subtree) == naive.mth(leaves[:at])
        assert inclusion_path(leaf, at, subtree) == naive.path(leaf, leaves[:at])
        assert consistency_path(first, at, subtree) == naive.proof(first, leaves[:at])


def test_a_missing_tile_is_noticed():
    """A tile that is shorter than the tree needs is never hashed as if it were whole."""
    with pytest.raises(TilesDamaged):
        root(3, Subtrees(lambda _level, _tile: b"\0" * 64))


@given(tile=st.integers(0, LARGEST), width=st.integers(1, WIDTH))
def test_paths_lead_there_and_back(tile, width):
    """Every tile has one path, which is read as that tile."""
    assert parsed(path_of(tile, width)) == (tile, width)


def test_paths_are_those_of_the_specification():
    """The example of C2SP tlog-tiles, and what is none of its paths."""
    assert path_of(1_234_067) == "x001/x234/067"
    assert path_of(273, 112) == "273.p/112"
    for wrong in (
        "", "1", "01", "0001", "x001", "001/002", "x001/234/x067", "000.p/0", "000.p/256",
        "000.p/01", "000.p", "x000/000", "000/", "/000", "\u0660\u0660\u0660", "000.p/1/2",
        "x" * 70,
    ):  # fmt: skip
        assert parsed(wrong) is None, wrong


def test_widths_are_those_of_the_specification():
    """The example of C2SP tlog-tiles: a tree of 70,000."""
    assert [width_at(70_000, 0, tile) for tile in (272, 273, 274)] == [256, 112, 0]
    assert [width_at(70_000, 1, tile) for tile in (0, 1, 2)] == [256, 17, 0]
    assert [width_at(70_000, 2, tile) for tile in (0, 1)] == [1, 0]
    assert width_at(70_000, 3, 0) == 0
    assert width_at(256, 1, 0) == 1
