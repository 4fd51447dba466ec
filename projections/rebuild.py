"""Building a read model anew, beside the one that answers, and switching to it.

The next generation grows in tables whose names end in `__next`; its position is committed with its
rows, so a build that was killed goes on where it stopped. The switch is one transaction under the
append lock. The generation before stays in `__old` until the next build begins.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import msgspec

from gatebook.domain.ports import Clock
from gatebook.projections import bookkeeping
from gatebook.projections.batch import execute
from gatebook.projections.bookkeeping import Building
from gatebook.projections.digest import digest
from gatebook.projections.errors import SwitchedMeanwhile, UnknownProjection
from gatebook.projections.feed import Taken, take
from gatebook.projections.ports import ProjectionStore, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.switch import switch
from gatebook.projections.tables import (
    NEXT,
    OLD,
    create_indexes,
    create_table,
    drop_table,
)

Progress = Callable[[int, int], object]

BATCH = 30_000
"""Events a transaction. More is a little faster, holds more memory and keeps appends waiting."""

FEW = 1_000
"""Events that the switch may take in, while appends stand still."""


class Rebuilt(msgspec.Struct, frozen=True):
    """A generation that answers now, at `position`. `events` were folded to get there."""

    name: str
    generation: int
    position: int
    events: int


class DryRun(msgspec.Struct, frozen=True):
    """What a rebuild would have led to: SHA-256 of each table, live and built, at one position."""

    name: str
    position: int
    live: dict[str, str]
    built: dict[str, str]

    @property
    def same(self) -> bool:
        """Whether the rebuild would have changed nothing."""
        return self.live == self.built


def rebuild(
    store: ProjectionStore,
    projection: Projection,
    clock: Clock,
    progress: Progress,
    *,
    batch: int = BATCH,
) -> Rebuilt:
    """Builds the next generation and switches to it. Goes on with one that was interrupted.

    `progress` is told (done, total) in events; what is done may be a batch ahead of what is
    committed. Raises FoldFailed at an event that cannot be taken in, SwitchedMeanwhile when
    another process was faster, and UnknownProjection before `ensure`.
    """
    build = begin(store, projection)
    start = build.position
    build = catch_up(store, projection, build, progress, batch=batch)
    create_all_indexes(store, projection, build)
    build = catch_up(store, projection, build, progress, batch=batch)
    position = switch(store, projection, build, clock)
    progress(position, position)
    return Rebuilt(projection.name, build.generation, position, position - start)


def dry_run(
    store: ProjectionStore, projection: Projection, progress: Progress, *, batch: int = BATCH
) -> DryRun:
    """Builds the next generation, compares it with the live one, and drops it.

    Nothing waits for it. It takes the place of a build that was interrupted.
    """
    build = begin(store, projection, afresh=True)
    with store.reading() as reader:
        at = bookkeeping.standing(reader, projection.name)
        goal = at.position if at is not None else 0
    build = catch_up(store, projection, build, progress, batch=batch, upto=goal)
    with store.reading() as reader:
        at = bookkeeping.standing(reader, projection.name)
        if at is None or at.generation + 1 != build.generation:
            raise SwitchedMeanwhile(projection.name)
        live = {table.name: digest(reader, table) for table in projection.tables}
    # Nobody else writes the next generation, so it can be brought to exactly where the snapshot
    # stood, however far the live one has gone on since.
    build = catch_up(store, projection, build, progress, batch=batch, upto=at.position)
    with store.reading() as reader:
        built = {table.name: digest(reader, table, NEXT) for table in projection.tables}
    with store.writing() as tx:
        bookkeeping.end_building(tx, build)
        for table in projection.tables:
            tx.execute(drop_table(table, NEXT))
    return DryRun(projection.name, build.position, live, built)


def begin(store: ProjectionStore, projection: Projection, *, afresh: bool = False) -> Building:
    """The generation in the making: the interrupted one, or a new and empty one."""
    with store.writing() as tx:
        at = bookkeeping.standing(tx, projection.name)
        if at is None:
            raise UnknownProjection(projection.name)
        generation = at.generation + 1
        found = bookkeeping.building(tx, projection.name)
        wanted = (generation, projection.version)
        if found is not None and (found.generation, found.version) == wanted and not afresh:
            return found
        build = Building(projection.name, projection.version, generation, 0)
        bookkeeping.begin_building(tx, build)
        _create_tables(tx, projection, generation)
        return build


def _create_tables(tx: Transaction, projection: Projection, generation: int) -> None:
    for table in projection.tables:
        tx.execute(drop_table(table, OLD))
        tx.execute(drop_table(table, NEXT))
        tx.execute(create_table(table, tx.dialect, suffix=NEXT, generation=generation))
        for statement in create_indexes(table, suffix=NEXT, generation=generation, sought=True):
            tx.execute(statement)


def catch_up(
    store: ProjectionStore,
    projection: Projection,
    build: Building,
    progress: Progress,
    *,
    batch: int,
    upto: int | None = None,
) -> Building:
    """Folds until few events are left, or exactly up to `upto`.

    Raises FoldFailed when all before the event that cannot be taken in is written.
    """
    with ThreadPoolExecutor(1) as pool:
        # PostgreSQL works on a batch while the next one is folded. SQLite would work on it in this
        # process, and the two threads would only fight over the interpreter.
        start = pool.submit if store.dialect == "postgresql" else _finished
        written: Future[Building] | None = None
        ahead = build.position
        while True:
            taken = _take_next(store, projection, ahead, progress, batch=batch, upto=upto)
            build = build if written is None else written.result()
            if build.position != ahead:  # another process is at the same build
                ahead, written = build.position, None
            elif taken is None:
                return build
            elif taken.failure is not None and taken.upto == ahead:
                raise taken.failure
            else:
                written = start(partial(_write, store, build, taken))
                ahead = taken.upto


def _take_next(
    store: ProjectionStore,
    projection: Projection,
    after: int,
    progress: Progress,
    *,
    batch: int,
    upto: int | None,
) -> Taken | None:
    with store.reading() as reader:
        goal = reader.head() if upto is None else upto
        left = goal - after
        if left <= 0 or (upto is None and left < min(batch // 10, FEW)):
            return None
        progress(after, goal)
        skipped = bookkeeping.skipped(reader, projection.name, after)
        return take(reader, projection, after, batch, upto=goal, skipped=skipped)


def _write(store: ProjectionStore, build: Building, taken: Taken) -> Building:
    """A crash before the commit leaves rows and position of the batch before."""
    with store.writing() as tx:
        if not bookkeeping.advance_building(tx, build, taken.upto):
            return _found_again(tx, build)
        execute(tx, taken.steps, NEXT)
    return msgspec.structs.replace(build, position=taken.upto)


def _finished(work: Callable[[], Building]) -> Future[Building]:
    """Does it now, as if it had been started."""
    done: Future[Building] = Future()
    done.set_result(work())
    return done


def _found_again(tx: Transaction, lost: Building) -> Building:
    """Another process is at the same build: whoever is first commits, both go on from there."""
    found = bookkeeping.building(tx, lost.name)
    if found is None or (found.generation, found.version) != (lost.generation, lost.version):
        raise SwitchedMeanwhile(lost.name)
    return found


def create_all_indexes(store: ProjectionStore, projection: Projection, build: Building) -> None:
    """Adds the secondary indexes, each in a transaction of its own: rows come faster without."""
    for table in projection.tables:
        for statement in create_indexes(table, suffix=NEXT, generation=build.generation):
            with store.writing() as tx:
                if bookkeeping.building(tx, build.name) is None:
                    raise SwitchedMeanwhile(build.name)
                tx.execute(statement)
