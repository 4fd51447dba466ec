"""The switch from the live generation of a read model to the next."""

from __future__ import annotations

import threading

import msgspec
from eventsourcing.persistence import OperationalError

from gatebook.domain.ports import Clock
from gatebook.projections import bookkeeping
from gatebook.projections.batch import execute
from gatebook.projections.bookkeeping import Building
from gatebook.projections.errors import SwitchedMeanwhile
from gatebook.projections.feed import take
from gatebook.projections.ports import ProjectionStore, Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.tables import LIVE, NEXT, OLD, drop_table, rename_table

ATTEMPTS = 100
PAUSE = 0.1
LOCK_TIMEOUT = "200ms"
"""Shorter than PostgreSQL's `deadlock_timeout`, so that no reader is ever the one to be ended."""


def switch(store: ProjectionStore, projection: Projection, build: Building, clock: Clock) -> int:
    """Lets the next generation answer. Returns the position it stands at: the head.

    Appends stand still meanwhile. A crash leaves either generation, whole. Raises
    SwitchedMeanwhile when another process was faster, and the store's OperationalError when the
    tables stay locked.
    """
    for _ in range(ATTEMPTS - 1 if store.dialect == "postgresql" else 0):
        try:
            return _once(store, projection, build, clock)
        except OperationalError:  # readers hold the tables: the lock is asked for again
            threading.Event().wait(PAUSE)
    return _once(store, projection, build, clock)


def _once(store: ProjectionStore, projection: Projection, build: Building, clock: Clock) -> int:
    with store.writing(exclusive=True) as tx:
        if tx.dialect == "postgresql":
            tx.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        if not bookkeeping.end_building(tx, build):
            raise SwitchedMeanwhile(build.name)
        former = bookkeeping.standing(tx, build.name)
        position = tx.head()
        # The row first and the tables after, as a follower does: so neither waits for the other.
        if not bookkeeping.switch(tx, build, position, clock.now()):
            raise SwitchedMeanwhile(build.name)
        _finish(tx, projection, build, position)
        if tx.dialect == "postgresql":
            names = ", ".join(table.name for table in projection.tables)
            tx.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        for table in projection.tables:
            tx.execute(drop_table(table, OLD))
            tx.execute(rename_table(table, LIVE, OLD))
            tx.execute(rename_table(table, NEXT, LIVE))
            if former is None or former.version != build.version:
                # No program reads it any more, and an early one kept names in there.
                tx.execute(drop_table(table, OLD))
        return position


def _finish(tx: Transaction, projection: Projection, build: Building, head: int) -> None:
    skipped = bookkeeping.skipped(tx, build.name, build.position)
    while build.position < head:
        taken = take(tx, projection, build.position, 1000, upto=head, skipped=skipped)
        execute(tx, taken.steps, NEXT)
        if taken.failure is not None:
            raise taken.failure
        build = msgspec.structs.replace(build, position=taken.upto)
