"""What is copied held against the newest signed head, while it is read anyway."""

from __future__ import annotations

from collections.abc import Sequence

from gatebook.projections import tree_tables
from gatebook.projections.tree import LogUnlikeTree, Tower
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.checkpoints import Checkpoint, NoteRefused
from gatebook.store.house import House
from gatebook.store.keyring import CHECKPOINT_KEY
from gatebook.store.log_reader import LogReader, StoredRow


class SignedCopy:
    """Takes in the events of one snapshot in order. Trusts the keyring's key, and no recorded one:
    whoever rewrites a log can record a key as well."""

    def __init__(self, house: House, reader: LogReader) -> None:
        self._tower = Tower()
        self._refuted: str | None = None
        self._head: Checkpoint | None = None
        head = tree_tables.newest_head(reader)
        if head is None or not house.keyring.has(CHECKPOINT_KEY):
            return
        try:
            self._head = checkpoint_key(house.keyring).verifier.verify(head.note)
        except NoteRefused as error:
            self._refuted = f"the newest head beside the log is not what was signed: {error}"

    def take(self, rows: Sequence[StoredRow]) -> None:
        """The events that follow."""
        if self._head is None or self._refuted or self._tower.size == self._head.size:
            return
        try:
            self._tower.grow(rows[: self._head.size - self._tower.size])
        except LogUnlikeTree as error:
            self._refuted = str(error)

    def refuted(self) -> str | None:
        """Why what was taken in is not what was signed; None when it is, or nothing was signed."""
        if self._refuted or self._head is None:
            return self._refuted
        size = self._head.size
        if self._tower.size < size:
            return f"it ends at {self._tower.size}, and {size} events were signed"
        if self._tower.root() != self._head.root:
            return f"it is not what the head of {size} events says"
        return None
