"""Rotating the master key: every key of the keyring wrapped anew, while the service runs.

First the row `master` comes to name the new key, and holds each of the two wrapped by the other:
from then on either opens everything, and everything that is new is wrapped by the new one. Then
what is left is wrapped anew. At last the row loses both wraps, and the former key opens nothing.
Killed anywhere, the same command with the same secret goes on from where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec
from eventsourcing.persistence import PersistenceError

from gatebook.domain import custody
from gatebook.domain.application.core import By
from gatebook.domain.errors import Conflict
from gatebook.domain.event import Event
from gatebook.store import master_record
from gatebook.store.house import House
from gatebook.store.master_keys import LOOK_EVERY
from gatebook.store.master_record import (
    ROW,
    MasterKey,
    Opened,
    Record,
    Replaced,
    Secret,
    Shape,
    UnderWay,
)

BATCH: Final = 500
"""Keys in one transaction: what a request that needs a key may have to wait for."""

PAUSE: Final = 0.02
"""Seconds between two batches. SQLite lets readers in between, if there is a between."""

EVERYBODY_HAS_LOOKED: Final = 5 * LOOK_EVERY
"""Seconds for which both keys open everything at least, so that no process is left behind."""

_RECENT: Final = 200
"""Events of the custody stream that are read back for the last one about a rotation."""


class Outcome(msgspec.Struct, frozen=True):
    """What was done. `keys` is 0 when there was nothing to do."""

    former_id: str
    key_id: str
    keys: int
    seconds: float


def rotate(
    house: House,
    secret: Secret,
    by: By,
    progress: Callable[[int, int], None],
    *,
    settle: float = EVERYBODY_HAS_LOOKED,
) -> Outcome:
    """Makes `secret` the master key. Again with the same secret: goes on, or does nothing.

    `progress` is told (keys done, all keys). Raises Conflict when another rotation is under way,
    and KeyringDamaged when a key cannot be opened: both master keys then still open the rest.
    """
    with house.store.lease("rotate-master") as lease:
        if not lease.held():
            raise Conflict("Another `key rotate-master` is at work on this store.")
        began = time.monotonic()
        house.masters.look()
        done_before = _done_before(house, secret, by)
        if done_before is not None:
            return done_before
        new, former = _begun(house, secret, by)
        asked = time.monotonic()
        keys = _sweep(house, new, progress)
        time.sleep(max(0.0, asked + settle - time.monotonic()))
        _end(house, new, former)
        _record_rotated(house, by, former.id.hex(), new.id.hex(), keys)
        _forget_former(house)
    return Outcome(former.id.hex(), new.id.hex(), keys, time.monotonic() - began)


def _done_before(house: House, secret: Secret, by: By) -> Outcome | None:
    """For the master key of today: nothing, but the event that a crash at the end left out."""
    record = house.masters.record
    if record.under_way is not None or record.shape.opened_by(secret) is None:
        return None
    former_id = record.replaced.former_id.hex() if record.replaced is not None else ""
    if former_id and _last(house) == _started(former_id, house.masters.id.hex()):
        keys, _stale = house.key_table.counts(house.masters.id)
        _record_rotated(house, by, former_id, house.masters.id.hex(), keys)
        _forget_former(house)
    return Outcome(former_id, house.masters.id.hex(), 0, 0.0)


def _begun(house: House, secret: Secret, by: By) -> tuple[MasterKey, MasterKey]:
    """Both keys of the rotation that is under way, begun if there was none."""
    record, opened = house.masters.record, house.masters.opened
    if record.under_way is not None and opened.former is not None:
        if record.shape.opened_by(secret) is None:
            raise Conflict(
                f"A rotation to the master key {opened.current.id.hex()} is under way. "
                "Run it again with that key's own file or passphrase."
            )
        return opened.current, opened.former
    former = opened.current
    shape, new = master_record.new_shape(secret, former)
    _record_started(house, by, former.id.hex(), new.id.hex())
    # A crash here leaves an event that nothing followed; the next run finds it, and goes on.
    _begin(house, record, shape, new, former)
    return new, former


def _begin(house: House, record: Record, shape: Shape, new: MasterKey, former: MasterKey) -> None:
    under_way = UnderWay(
        former=record.shape,
        new_by_former=master_record.wrap_master(new, former),
        former_by_new=master_record.wrap_master(former, new),
        began_at=house.clock.now(),
    )
    row = master_record.encode(master_record.record_of(shape, under_way=under_way))
    _swap(house, row, Opened(new, former))


def _sweep(house: House, new: MasterKey, progress: Callable[[int, int], None]) -> int:
    """Wraps by the new key whatever is not. Returns how many keys there are.

    Nothing comes behind its back: a key can only be added under the master row as it is now.
    """
    table, masters = house.key_table, house.masters
    total, stale = table.counts(new.id)
    progress(total - stale, total)
    done, after = total - stale, ""
    while batch := table.stale(new.id, after, BATCH):
        # A crash inside leaves the batch as it was, or done.
        table.rewrap(
            [(name, old, masters.wrap(name, masters.unwrap(name, old))[0]) for name, old in batch]
        )
        after = batch[-1][0]
        done += len(batch)
        progress(done, max(total, done))
        time.sleep(PAUSE)
    total, stale = table.counts(new.id)
    if stale:
        raise Conflict(f"{stale} keys were changed meanwhile. Run the same command again.")
    return total


def _end(house: House, new: MasterKey, former: MasterKey) -> None:
    """Takes the wraps of both master keys away: from here on the former one opens nothing."""
    record = house.masters.record
    if record.under_way is None:
        return
    replaced = Replaced(record.under_way.former, former.id, house.clock.now())
    row = master_record.encode(master_record.record_of(record.shape, replaced=replaced))
    _swap(house, row, Opened(new))


def _swap(house: House, row: bytes, opened: Opened) -> None:
    if not house.key_table.replace(ROW, house.masters.row, row):
        raise Conflict("Somebody else changed the master key's record. Run the command again.")
    house.masters.reopen(row, opened)


def _forget_former(house: House) -> None:
    """What cannot be done now, the store's own tidying does later."""
    with contextlib.suppress(PersistenceError):
        house.key_table.forget_former()


def _record_started(house: House, by: By, former_id: str, key_id: str) -> None:
    event = _started(former_id, key_id)
    if _last(house) != event:
        record_custody(house, by, event)


def _record_rotated(house: House, by: By, former_id: str, key_id: str, keys: int) -> None:
    event = custody.MasterKeyRotated(former_id=former_id, key_id=key_id, keys=keys)
    record_custody(house, by, event)


def _started(former_id: str, key_id: str) -> custody.MasterKeyRotationStarted:
    return custody.MasterKeyRotationStarted(former_id=former_id, key_id=key_id)


def _last(house: House) -> Event | None:
    """The last event about a rotation."""
    kinds = (custody.MasterKeyRotationStarted, custody.MasterKeyRotated)
    for recorded in reversed(custody_events(house)):
        if isinstance(recorded, kinds):
            return recorded
    return None


def custody_events(house: House) -> list[Event]:
    """The newest events about the store as a whole, oldest of them first."""
    return [recorded.event for recorded in house.store.last(custody.STREAM_ID, _RECENT)]


def record_custody(house: House, by: By, event: Event) -> None:
    """Records an event of the custody stream."""
    house.app.record_one(event, custody.STREAM_ID, by)
