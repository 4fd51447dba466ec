"""Heads held against the log: whether what was signed, wherever it is kept, is of this log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gatebook.projections import tree_tables as tables
from gatebook.projections.merkle import root
from gatebook.projections.tiles import TilesDamaged
from gatebook.projections.tree import BATCH, Tower, subtrees
from gatebook.store.checkpoints import Checkpoint, VerifierKey
from gatebook.store.log import Log
from gatebook.store.witness import Witness, WitnessDamaged, signed_by

STORE = "store"
"""What the heads beside the log are called where a witness is named."""


class Conflict(msgspec.Struct, frozen=True):
    """A signed head that is not of this log. `reason` says so in words."""

    witness: str
    checkpoint: Checkpoint
    reason: str

    @property
    def halt(self) -> str:
        """Why nothing is signed, and what there is to do."""
        told = "find out why (gatebook audit verify); to go on without it: gatebook audit witness"
        return f"{self.reason}; {told} --accept {self.witness} --reason TEXT"


def own_conflict(log: Log, keys: Mapping[str, VerifierKey]) -> Conflict | None:
    """Whether the newest head beside the log is of this log.

    Raises WitnessDamaged when it is not what was signed, TilesDamaged when tiles are missing.
    """
    head = tables.newest_head(log)
    if head is None:
        return None
    found = signed_by(keys, [head.note])
    if not found or (found[0].size, found[0].root) != (head.size, head.root):
        raise WitnessDamaged("the newest head beside the log is not what was signed")
    return _conflict(log, STORE, found[0])


def witness_conflict(log: Log, witness: Witness, found: Sequence[Checkpoint]) -> Conflict | None:
    """The first of a witness's newest heads that is not of this log."""
    if not found:
        return None
    largest = max(found, key=lambda one: one.size)
    for one in (largest, found[-1]):
        conflict = _conflict(log, witness.name, one)
        if conflict is not None:
            return conflict
    return None


def _conflict(log: Log, name: str, given: Checkpoint) -> Conflict | None:
    holder = "the store itself" if name == STORE else f"the witness {name}"
    held = f"{holder} holds a signed head of {given.size} events"
    end = log.head()
    if given.size > end:
        reason = f"{held}, but the log has {end}: it was cut, or an older copy was restored"
        return Conflict(name, given, reason)
    if _root(log, given.size) != given.root:
        return Conflict(name, given, f"{held}, which is not of this log")
    return None


def is_of(log: Log, size: int, given: bytes) -> bool:
    """Whether the log comes to a root at a size. Raises TilesDamaged."""
    return size <= log.head() and _root(log, size) == given


def _root(log: Log, wanted: int) -> bytes:
    """The root at a size; what the tree has not taken in yet is hashed here, and not kept."""
    size = tables.state(log).size
    if wanted <= size:
        return root(wanted, subtrees(log))
    tower = Tower.load(log, size)
    while tower.size < wanted:
        rows = log.raw(tower.size, min(BATCH, wanted - tower.size), wanted)
        if not rows:
            raise TilesDamaged(f"the log ends at {tower.size}, before the head of {wanted} events")
        tower.grow(rows)
    return tower.root()
