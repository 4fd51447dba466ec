"""The key that signs heads, out of the keyring, and its record in the log."""

from __future__ import annotations

from eventsourcing.persistence import IntegrityError

from gatebook.domain import checkpoints
from gatebook.domain.application.core import By, Gatebook
from gatebook.domain.envelope import Entry
from gatebook.store.checkpoints import CheckpointKey, NoteRefused, VerifierKey
from gatebook.store.keyring import Keyring
from gatebook.store.log import Log

TRIES = 5


def checkpoint_key(keyring: Keyring) -> CheckpointKey:
    """The key, made at its first use."""
    return CheckpointKey(keyring.checkpoint_seed())


def recorded_keys(log: Log) -> dict[str, VerifierKey]:
    """Every key that heads of this log were ever signed with, by origin.

    Whoever writes to the database can add an event, but not one that takes a key's name away.
    """
    found = (recorded.event for recorded in log.stream(checkpoints.STREAM_ID))
    created = (one for one in found if isinstance(one, checkpoints.CheckpointKeyCreated))
    return {key.origin: key for one in created if (key := _genuine(one.verifier_key)) is not None}


def _genuine(written: str) -> VerifierKey | None:
    try:
        key = VerifierKey.parse(written)
    except NoteRefused:
        return None
    return key if key.bears_its_own_name else None


def announce(app: Gatebook, log: Log, key: VerifierKey, by: By, now: int) -> None:
    """Records the key unless it is recorded. A crash before leaves that to the next start."""
    for _ in range(TRIES):
        stream = log.stream(checkpoints.STREAM_ID)
        known = [
            one.event for one in stream if isinstance(one.event, checkpoints.CheckpointKeyCreated)
        ]
        if any(one.verifier_key == str(key) for one in known):
            return
        version = stream[-1].version + 1 if stream else 1
        event = checkpoints.CheckpointKeyCreated(origin=key.origin, verifier_key=str(key))
        try:
            app.record([Entry(checkpoints.STREAM_ID, version, event)], by, now)
        except IntegrityError:
            continue  # another process was first, with this or something else
        return
