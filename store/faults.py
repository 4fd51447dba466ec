"""What can go wrong with a store, in the words of the library's exceptions."""

from __future__ import annotations

from eventsourcing.persistence import InternalError, OperationalError


class StoreRefused(Exception):
    """A store that must not be opened as it stands. Its message says what to do."""


class StoreMissing(StoreRefused):
    """There is no store at this address: it may be mistyped, or was never created."""


class StoreForeign(StoreRefused):
    """There is something at this address, and it is not a Gatebook store."""


class SchemaMismatch(StoreRefused):
    """The store was written by an older or newer program."""

    def __init__(self, stored: int, program: int) -> None:
        remedy = (
            "migrate it with this program (`gatebook store migrate`)"
            if stored < program
            else "run the newer program that wrote it, or restore a backup made before"
        )
        super().__init__(
            f"the store has schema version {stored} and this program needs {program}: {remedy}"
        )
        self.stored = stored
        self.program = program


class StoreUnavailable(OperationalError):
    """The store or the connection to it is gone, locked, read-only or damaged.

    The connection is dropped; the next use opens another.
    """


class StoreOverwritten(StoreUnavailable):
    """Where the database was there is a file that is none."""


class StoreFull(OperationalError):
    """No room for this write. Smaller ones may still fit."""


class OutcomeUnknown(OperationalError):
    """The write was under way when its answer was lost: it may or may not be in the log."""


class CommitLost(StoreUnavailable):
    """The connection was lost while COMMIT was under way."""


class ConstraintBroken(InternalError):
    """A statement broke a constraint or was refused by a trigger: a defect, not a lost race."""
