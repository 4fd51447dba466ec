"""The signed heads of the log: the key that signs them, and what became of heads that disagree.

The heads themselves are no events: they stand beside the log, and wherever they were sent.
"""

from __future__ import annotations

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"checkpoints")


class _CheckpointEvent(Event, frozen=True):
    STREAM = "checkpoints"
    CATEGORY = "system"


class CheckpointKeyCreated(_CheckpointEvent, frozen=True):
    """Heads are signed from here on. `verifier_key` is in signed-note form (C2SP signed-note)."""

    TOPIC = "checkpoint_key.created.1"
    origin: str
    verifier_key: str


class CheckpointConflicted(_CheckpointEvent, frozen=True):
    """A head signed before, `size` events long, is not of this log: signing stopped.

    `witness` is the file that holds it; `root` is what it says, 32 bytes.
    """

    TOPIC = "checkpoint.conflicted.1"
    witness: str
    size: int
    root: bytes


class CheckpointAbandoned(_CheckpointEvent, frozen=True):
    """An operator lets signing go on past a head that is not of this log, and says why."""

    TOPIC = "checkpoint.abandoned.1"
    witness: str
    size: int
    root: bytes
    reason: str


Happening = CheckpointKeyCreated | CheckpointConflicted | CheckpointAbandoned
