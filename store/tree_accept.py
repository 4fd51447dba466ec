"""What an operator decides about a head that is not of this log: to go on without it, and why."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from gatebook.domain import checkpoints
from gatebook.domain.application.core import By
from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoint_key import recorded_keys
from gatebook.store.checkpoints import Checkpoint
from gatebook.store.house import House
from gatebook.store.tree_heads import STORE, Conflict, is_of, own_conflict, witness_conflict
from gatebook.store.tree_signer import standing_conflict
from gatebook.store.witness import Witness, WitnessDamaged
from gatebook.store.witnesses import witnesses_of

_HELD = re.compile(
    r"(?:the store itself|the witness (?P<name>.+)) holds a signed head of (?P<size>[0-9]+) events"
)


class NothingToAccept(Exception):
    """There is no such witness, or it agrees with the log. The message is one line."""


class Accepted(msgspec.Struct, frozen=True):
    """A head of `size` events was given up; the file that holds it is `kept_as` from now on."""

    witness: str
    size: int
    kept_as: str | None


class Pending(msgspec.Struct, frozen=True):
    """A head that may be given up, and the file that holds it, if there is one."""

    conflict: Conflict
    witness: Witness | None


def accept(house: House, named: str, reason: str, by: By) -> Accepted:
    """Records that signing goes on past a head that is not of this log, and lets it.

    `named` is as for `pending`; the heads beside the log (`store`) are then forgotten, a witness
    file is set aside. Raises NothingToAccept, WitnessDamaged, TilesDamaged, OSError. A crash before
    the end leaves the signing stopped: do it again, and it is recorded twice.
    """
    found = pending(house, named)
    conflict, witness = found.conflict, found.witness
    given = conflict.checkpoint
    event = checkpoints.CheckpointAbandoned(
        witness=conflict.witness, size=given.size, root=given.root, reason=reason
    )
    house.app.record_one(event, checkpoints.STREAM_ID, by)
    aside = witness.set_aside() if witness is not None else None
    with house.store.writing() as tx:
        if conflict.witness == STORE:
            tables.start_over(tx)
        tables.halt(tx, None)
    return Accepted(conflict.witness, given.size, str(aside) if aside is not None else None)


def pending(house: House, named: str) -> Pending:
    """What would be given up.

    `named` is `store`, for the heads beside the log; a witness file, as configured or as a path; or
    the witness that signing stopped for, even if it is gone or no longer configured. Raises
    NothingToAccept, WitnessDamaged, TilesDamaged, OSError.
    """
    witness = None if named == STORE else _configured(house, named)
    stands = _standing(house)
    is_it = stands is not None and stands.witness in (named, witness.name if witness else named)
    try:
        found = _conflict(house, named, witness)
    except (WitnessDamaged, OSError):
        if not is_it:
            raise
        found = stands
    if found is not None:
        return Pending(found, witness)
    if stands is not None and is_it:
        return Pending(stands, None)  # its file is gone, or another one by now: it is left alone
    raise NothingToAccept(_nothing(house, named, witness, stands))


def _nothing(house: House, named: str, witness: Witness | None, stands: Conflict | None) -> str:
    known = ", ".join(one.name for one in witnesses_of(house.settings)) or "none"
    if named != STORE and witness is None:
        said = f"{named} is no witness of [audit] witness_files: {known}"
    elif witness is not None and not witness.path.exists():
        said = f"{named} is not there, and signing did not stop for it: there is nothing to accept"
    else:
        said = f"{named} agrees with the log: there is nothing to accept"
    return said if stands is None else f"{said}. Signing stopped for {stands.witness}"


def conflict_stands(house: House) -> bool:
    """Whether signing stopped for a head that is not of this log, the tiles being right.

    Damaged tiles may have made a head of this log look like another's.
    """
    state = tables.state(house.store)
    if not state.in_conflict:
        return False
    told = standing_conflict(house)
    if told is not None:
        return not is_of(house.store, told.size, told.root)
    # Not recorded, so its root is not known; heads beside the log were held against it just now.
    return not str(state.halted).startswith("the store itself")


def _standing(house: House) -> Conflict | None:
    """What signing stopped for: as recorded, or as the reason says when that could not be."""
    state = tables.state(house.store)
    if not state.in_conflict:
        return None
    reason, told = str(state.halted), standing_conflict(house)
    if told is not None:
        return Conflict(told.witness, Checkpoint("", told.size, told.root), reason)
    said = _HELD.match(reason)
    name, size = (said["name"] or STORE, int(said["size"])) if said else (STORE, 0)
    return Conflict(name, Checkpoint("", size, b""), reason)


def _conflict(house: House, named: str, witness: Witness | None) -> Conflict | None:
    """A conflict that is there to be seen. Raises WitnessDamaged, TilesDamaged, OSError."""
    keys = recorded_keys(house.store)
    if witness is not None:
        return witness_conflict(house.store, witness, witness.heads(keys)[0])
    if named != STORE:
        return None
    try:
        return own_conflict(house.store, keys)
    except WitnessDamaged as error:  # no signature vouches for the newest head beside the log
        head = tables.newest_head(house.store)
        assert head is not None  # it is what was damaged
        return Conflict(STORE, Checkpoint("", head.size, head.root), str(error))


def _configured(house: House, named: str) -> Witness | None:
    """A witness by its name, its path, or the last part of it when no other has the same."""
    found = witnesses_of(house.settings)
    for one in found:
        if named == one.name or Path(named).absolute() == one.path.absolute():
            return one
    alike = [one for one in found if one.path.name == named]
    return alike[0] if len(alike) == 1 else None
