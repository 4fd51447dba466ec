"""Inline projections: written in the transaction of every append."""

from __future__ import annotations

from collections.abc import Sequence

from gatebook.domain.envelope import Recorded
from gatebook.projections.batch import execute, plan
from gatebook.projections.errors import ReadModelBehind
from gatebook.projections.ports import Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.rows import number, text

# Moves the position and checks everything about the row, in the one statement that an event
# which concerns no inline projection costs.
_ADVANCE = (
    "UPDATE projections SET position = ? "
    "WHERE name = ? AND position = ? AND version = ? AND status = 'live'"
)


class Inline:
    """The inline projections of this program, as the store's `InlineFold`."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = [projection for projection in projections if projection.inline]

    def apply(self, tx: Transaction, head_before: int, recorded: Sequence[Recorded]) -> None:
        """Folds events that follow `head_before` into the read models.

        Raises ReadModelBehind when one does not stand there. The caller rolls back, so a read
        model and the log never part.
        """
        if not recorded:
            return
        for projection in self._projections:
            moved = tx.execute(
                _ADVANCE,
                (recorded[-1].position, projection.name, head_before, projection.version),
            )
            if moved != 1:
                raise ReadModelBehind(projection.name, head_before, _found(tx, projection))
            changes = [change for event in recorded for change in projection.fold(event)]
            if changes:
                execute(tx, plan(changes))


def _found(tx: Transaction, projection: Projection) -> str:
    rows = tx.query(
        "SELECT version, position, status FROM projections WHERE name = ?", (projection.name,)
    )
    if not rows:
        return "it has not been built"
    version, position, status = rows[0]
    return (
        f"it is {text(status)} at position {number(position)} with version {number(version)}; "
        f"this program has version {projection.version}"
    )
