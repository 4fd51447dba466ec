"""Holds what Gatebook published against aics-tlog. Reads the directory that is its argument."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from pathlib import Path

import aics_tlog as foreign

directory = Path(sys.argv[1])
given = json.loads((directory / "published.json").read_text())
key = foreign.parse_vkey(given["key"])
reader = foreign.FileSystemTileReader(directory)


def opened(note: str) -> foreign.Checkpoint:
    result = foreign.verify_checkpoint(foreign.parse_note(note), key, expected_origin=key.name)
    assert result.ok, result.error
    return foreign.parse_checkpoint(foreign.parse_note(note).text)


def path(texts: list[str]) -> list[bytes]:
    return [b64decode(text) for text in texts]


for one in given["inclusion"]:
    head, leaf = opened(one["checkpoint"]), b64decode(one["leaf"])
    root, index = head.root, one["leaf_index"]
    proof = path(one["inclusion_path"])
    assert head.size == one["tree_size"]
    assert foreign.verify_leaf_inclusion(leaf, index, head.size, proof, root)
    assert not foreign.verify_leaf_inclusion(leaf + b"x", index, head.size, proof, root)
    assert foreign.inclusion_proof_from_tiles(reader, index, head.size) == proof
    assert foreign.tree_root_from_tiles(reader, head.size) == root
    assert foreign.read_entry(reader, index, head.size) == leaf
for one in given["consistency"]:
    first, second = opened(one["first"]), opened(one["second"])
    proof = path(one["consistency_path"])
    assert foreign.verify_consistency(first.size, second.size, first.root, second.root, proof)
    if first.size != second.size:
        assert not foreign.verify_consistency(
            first.size, second.size, second.root, first.root, proof
        )
print(f"{len(given['inclusion'])} inclusion, {len(given['consistency'])} consistency")
