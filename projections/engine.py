"""Making read models ready, saying how they stand, and letting halted ones go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gatebook.domain.ports import Clock
from gatebook.projections import bookkeeping
from gatebook.projections.errors import (
    LogShorter,
    NotHalted,
    ReadModelNewer,
    SwitchedMeanwhile,
    UnknownProjection,
)
from gatebook.projections.ports import ProjectionStore, Reader, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import rebuild
from gatebook.projections.tables import LIVE, create_indexes, create_table


class ProjectionStatus(msgspec.Struct, frozen=True):
    """How a projection stands. `lag` is in events; `wanted` is this program's version of it.

    `status` is "live", "halted" or "missing"; `error` says why it halted, in words, and
    `error_position` at which event.
    """

    name: str
    inline: bool
    version: int
    wanted: int
    generation: int
    position: int
    head: int
    lag: int
    status: str
    error: str | None
    error_position: int | None

    @property
    def ready(self) -> bool:
        """Whether it can be answered from: inline ones must be level with the log."""
        level = self.lag == 0 or not self.inline
        return self.status == "live" and self.version == self.wanted and level


def ensure(
    store: ProjectionStore,
    projections: Sequence[Projection],
    clock: Clock,
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
    *,
    accept_shorter_log: bool = False,
    accept_newer: bool = False,
) -> None:
    """Creates what is missing and brings the inline read models level with the log.

    Must have returned before the first append. Any number of processes may call it at once.
    `progress` is told (name, done, total) while a read model is built. Raises FoldFailed when one
    cannot be built, and LogShorter when one has taken in events that the log does not have: that
    is evidence, which must not be folded away unasked. Raises ReadModelNewer when a newer program
    built an inline one: two programs that take turns in rebuilding it would keep each other out.
    """
    with store.writing(exclusive=True) as tx:
        bookkeeping.create(tx)
        head = tx.head()
        for projection in projections:
            found = bookkeeping.standing(tx, projection.name)
            if found is None:
                _create(tx, projection, clock.now())
            elif found.position > head and not accept_shorter_log:
                raise LogShorter(projection.name, found.position, head)
            elif projection.inline and found.version > projection.version and not accept_newer:
                raise ReadModelNewer(projection.name, found.version, projection.version)
    for projection in projections:
        if projection.inline and not _level(store, projection):
            _bring_level(store, projection, clock, progress)


def _bring_level(
    store: ProjectionStore,
    projection: Projection,
    clock: Clock,
    progress: Callable[[str, int, int], None],
) -> None:
    try:
        rebuild(
            store,
            projection,
            clock,
            lambda done, total: progress(projection.name, done, total),
        )
    except SwitchedMeanwhile:
        # Another process that starts just now was faster. That is as good.
        if not _level(store, projection):
            raise


def _create(tx: Transaction, projection: Projection, at: int) -> None:
    for table in projection.tables:
        tx.execute(create_table(table, tx.dialect, suffix=LIVE, generation=1))
        for statement in create_indexes(table, suffix=LIVE, generation=1):
            tx.execute(statement)
    bookkeeping.begin(tx, projection.name, projection.version, at)


def _level(store: ProjectionStore, projection: Projection) -> bool:
    (found,) = status(store, (projection,))
    return found.ready


def status(store: ProjectionStore, projections: Sequence[Projection]) -> list[ProjectionStatus]:
    """How the projections stand, all seen at one moment. Call `ensure` first."""
    with store.reading() as reader:
        head = reader.head()
        found = bookkeeping.standings(reader)
    return [_status(projection, found.get(projection.name), head) for projection in projections]


def _status(projection: Projection, at: bookkeeping.Standing | None, head: int) -> ProjectionStatus:
    return ProjectionStatus(
        name=projection.name,
        inline=projection.inline,
        version=at.version if at is not None else 0,
        wanted=projection.version,
        generation=at.generation if at is not None else 0,
        position=at.position if at is not None else 0,
        head=head,
        lag=head - at.position if at is not None else head,
        status=at.status if at is not None else "missing",
        error=at.error if at is not None else None,
        error_position=at.error_position if at is not None else None,
    )


def resume(store: ProjectionStore, name: str) -> None:
    """Lets a halted projection try again. Raises UnknownProjection, or NotHalted."""
    with store.writing() as tx:
        _halted(tx, name)
        bookkeeping.resume(tx, name)


def skip(store: ProjectionStore, name: str, position: int) -> None:
    """Lets a projection pass over the event it halted at, now and in every rebuild, and try again.

    The caller has appended `projection.event_skipped` before: a crash between the two leaves the
    record of a wish, and doing it again is harmless. Raises UnknownProjection, or NotHalted.
    """
    with store.writing() as tx:
        check_halted_at(tx, name, position)
        bookkeeping.skip(tx, name, position)
        bookkeeping.resume(tx, name)


def check_halted_at(reader: Reader, name: str, position: int) -> None:
    """Raises NotHalted unless the projection halted at this very event."""
    found = _halted(reader, name)
    if found.error_position != position:
        raise NotHalted(name, f"it halted at event {found.error_position}, not at {position}")


def _halted(reader: Reader, name: str) -> bookkeeping.Standing:
    found = bookkeeping.standing(reader, name)
    if found is None:
        raise UnknownProjection(name)
    if found.status != "halted":
        raise NotHalted(name, f"it is {found.status}")
    return found
