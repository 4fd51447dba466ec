"""What an operator decides about a head that is not of this log: to go on without it, and why."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gatebook.domain import checkpoints
from gatebook.domain.application.core import By
from gatebook.domain.envelope import Entry
from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoint_key import recorded_keys
from gatebook.store.house import House
from gatebook.store.tree_heads import STORE, Conflict, own_conflict, witness_conflict
from gatebook.store.witness import Witness
from gatebook.store.witnesses import witnesses_of


class NothingToAccept(Exception):
    """There is no such witness, or it agrees with the log. The message is one line."""


class Accepted(msgspec.Struct, frozen=True):
    """A head of `size` events was given up; the file that holds it is `kept_as` from now on."""

    witness: str
    size: int
    kept_as: str | None


def accept(house: House, named: str, reason: str, by: By) -> Accepted:
    """Records that signing goes on past a head that is not of this log, and lets it.

    `named` is a witness file, as configured or as a path, or `store` for the heads beside the log,
    which are then forgotten. Raises NothingToAccept, WitnessDamaged, OSError. A crash before the
    end leaves the signing stopped: do it again, and it is recorded twice.
    """
    witness = None if named == STORE else _witness(house, named)
    conflict = _conflict(house, witness)
    if conflict is None:
        raise NothingToAccept(f"{named} agrees with the log: there is nothing to accept")
    given, stream_id = conflict.checkpoint, checkpoints.STREAM_ID
    event = checkpoints.CheckpointAbandoned(
        witness=conflict.witness, size=given.size, root=given.root, reason=reason
    )
    house.app.record(
        [Entry(stream_id, 0, event)], by, house.clock.now(), unordered=frozenset({stream_id})
    )
    aside = witness.set_aside() if witness is not None else None
    with house.store.writing() as tx:
        if witness is None:
            tables.start_over(tx)
        tables.halt(tx, None)
    return Accepted(conflict.witness, given.size, str(aside) if aside is not None else None)


def _conflict(house: House, witness: Witness | None) -> Conflict | None:
    keys = recorded_keys(house.store)
    if witness is None:
        return own_conflict(house.store, keys)
    return witness_conflict(house.store, witness, witness.heads(keys)[0])


def _witness(house: House, named: str) -> Witness:
    found = witnesses_of(house.settings)
    for one in found:
        if named == one.name or Path(named).absolute() == one.path.absolute():
            return one
    known = ", ".join(one.name for one in found) or "none"
    raise NothingToAccept(f"{named} is no witness of [audit] witness_files: {known}")
