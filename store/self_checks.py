"""The self-check at work: paced, for the length of a turn of the follower, and what it finds told.

What it found last stands in a table beside the read models: see `projections.checked`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from eventsourcing.persistence import PersistenceError

from gatebook.domain import deployment
from gatebook.domain.errors import Refusal
from gatebook.projections.checked import Checked, checked, keep
from gatebook.projections.errors import FoldFailed
from gatebook.projections.projection import Projection
from gatebook.projections.self_check import Look, SelfCheck
from gatebook.store.house import House, system
from gatebook.store.scratch import Scratch, open_scratch

SHARE: Final = 0.1
"""Of one core's time, what the check takes at most."""

PAUSE: Final = 0.05
"""Seconds between two looks, at least."""

BETWEEN_ROUNDS: Final = 5.0
AFTER_TROUBLE: Final = 60.0


class _Round:
    """A check, and what its round under way has come to."""

    def __init__(self, check: SelfCheck, before: Checked | None) -> None:
        self.check = check
        self.name = check.projection.name
        self.rounds = before.rounds if before is not None else 0
        self.told = before is not None and before.drifted > 0
        self.rows = 0
        self.drifted = 0
        self.table: str | None = None

    def take(self, look: Look) -> None:
        self.rows += look.rows
        self.drifted += len(look.found)
        if look.found and self.table is None:
            self.table = look.found[0].table


class SelfChecks:
    """All checks of one follower. `run` ends when its turn does."""

    def __init__(self, house: House, projections: Sequence[Projection]) -> None:
        self._house = house
        self._projections = projections

    def run(
        self,
        turn: threading.Event,
        trouble: Callable[[Exception], object],
        alarm: Callable[[deployment.ProjectionDrifted], object],
    ) -> None:
        """Looks, again and again. `alarm` is told once of each read model that is found wrong."""
        while not turn.is_set():
            try:
                with self._checks() as rounds:
                    self._rounds(rounds, turn, alarm)
            except (PersistenceError, Refusal, FoldFailed, sqlite3.Error, OSError) as error:
                trouble(error)
                turn.wait(AFTER_TROUBLE)

    @contextlib.contextmanager
    def _checks(self) -> Iterator[list[_Round]]:
        """One check a read model, each with a shadow of its own."""
        before = checked(self._house.store)
        with contextlib.ExitStack() as stack:
            shadows = [stack.enter_context(_shadow(one.name)) for one in self._projections]
            yield [
                _Round(SelfCheck(one, shadow), before.get(one.name))
                for one, shadow in zip(self._projections, shadows, strict=True)
            ]

    def _rounds(
        self,
        rounds: list[_Round],
        turn: threading.Event,
        alarm: Callable[[deployment.ProjectionDrifted], object],
    ) -> None:
        due = set(rounds)
        while not turn.is_set():
            for one in rounds:
                if one not in due:
                    continue
                began = time.thread_time()
                look = one.check.look(self._house.store)
                if look is None or look.round_over:
                    due.discard(one)
                if look is not None:
                    one.take(look)
                    self._note(one, look, alarm)
                spent = time.thread_time() - began
                if turn.wait(max(PAUSE, spent * (1 / SHARE - 1))):
                    return
            if not due:
                due = set(rounds)
                turn.wait(BETWEEN_ROUNDS)

    def _note(
        self,
        one: _Round,
        look: Look,
        alarm: Callable[[deployment.ProjectionDrifted], object],
    ) -> None:
        """Keeps what was found: at once when it is bad, else when the round is over."""
        if look.found and not one.told:
            one.told = True
            found = deployment.ProjectionDrifted(
                projection=one.name, table=one.table or "", rows=one.drifted
            )
            self._house.app.record_one(found, deployment.STREAM_ID, system())
            alarm(found)
        if look.found or look.round_over:
            one.rounds += look.round_over
            self._keep(one)
        if look.round_over:
            one.told = one.drifted > 0
            one.rows, one.drifted, one.table = 0, 0, None

    def _keep(self, one: _Round) -> None:
        now = self._house.clock.now()
        row = Checked(one.name, one.rounds, now, one.rows, one.drifted, one.table)
        self._house.store.transact(lambda tx: keep(tx, row))


@contextlib.contextmanager
def _shadow(name: str) -> Iterator[Scratch]:
    """A scratch database that has no name any more: a crash leaves nothing of it."""
    with contextlib.ExitStack() as stack:
        with tempfile.TemporaryDirectory(prefix="gatebook-") as folder:
            scratch = stack.enter_context(open_scratch(Path(folder) / name))
        yield scratch
