"""The follower: takes new events into the projections that are not written inline."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence

from eventsourcing.persistence import InterfaceError, OperationalError

from gatebook.domain.event import UnreadableEvent
from gatebook.domain.ports import Clock
from gatebook.projections import bookkeeping
from gatebook.projections.batch import execute
from gatebook.projections.bookkeeping import Standing
from gatebook.projections.errors import EventUnreadable, FoldFailed, SwitchedMeanwhile
from gatebook.projections.feed import Readable, SharedReading, Taken, take
from gatebook.projections.ports import ProjectionStore, Reader
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import rebuild

LIMIT = 1_000
"""Events a batch while following."""

FAR_BEHIND = 20_000
"""From this lag on a rebuild is faster than following."""

PAUSE = 0.02
"""Seconds between two rounds: on a busy log, what one commit of the follower's is shared by."""

STORE_TROUBLE = (OperationalError, InterfaceError)
"""The store fails, not the event: tried again, never a reason to halt."""


class _Stopped(Exception):
    """The follower was asked to end while it built a projection."""


class GaveWay(Exception):
    """There is an event that only a newer program can read: its follower may take over."""


class Follower:
    """Follows the log for the projections that are not inline.

    One a deployment is enough; more do no harm, since a position only moves once.
    """

    def __init__(
        self, store: ProjectionStore, projections: Sequence[Projection], clock: Clock
    ) -> None:
        """`gives_way` may be set: then an event that cannot be read ends `run` before it halts."""
        self._store = store
        self.gives_way = False
        self._known = {p.name: p.version for p in projections}
        self._projections = [p for p in projections if not p.inline]
        self._clock = clock
        self._seen = 0

    def run(
        self,
        stop: threading.Event,
        on_trouble: Callable[[Exception], object] = lambda _error: None,
        idle: float = 0.5,
    ) -> None:
        """Follows until `stop` is set, which it notices within `idle` seconds, or it gives way.

        Halted projections are tried again first, those of another version or far behind are built
        anew. `on_trouble` is told of whatever fails beside an event, a store that is gone first of
        all; then it waits and goes on. Raises GaveWay.
        """
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    self.prepare(stop)
                    prepared = True
                if self.round() == 0:
                    self._store.wait(self._seen, idle)
                stop.wait(PAUSE)
            except _Stopped:
                return
            except GaveWay:
                raise
            except Exception as error:
                on_trouble(error)
                stop.wait(1.0)

    def prepare(self, stop: threading.Event | None = None) -> None:
        """Lets halted projections try again, and builds anew what following would not mend.

        What a newer program built is left alone, and what halted at an event that cannot be read
        stays so. A build that `stop` interrupts goes on at the next start.
        """
        for projection in self._projections:
            with self._store.reading() as reader:
                at = bookkeeping.standing(reader, projection.name)
                head = reader.head()
                hopeless = at is not None and _stops_at_unreadable(reader, at)
            if at is None or at.version > projection.version or hopeless:
                continue
            with self._store.writing() as tx:
                bookkeeping.resume(tx, projection.name)
            if at.version != projection.version or head - at.position > FAR_BEHIND:
                self._rebuild(projection, at, stop)

    def superseded(self) -> bool:
        """Whether a newer program built a read model: its follower is to follow, not this one."""
        with self._store.reading() as reader:
            found = bookkeeping.standings(reader)
        return any(found[name].version > v for name, v in self._known.items() if name in found)

    def stuck(self) -> bool:
        """Whether a projection halted at an event that only a newer program can read."""
        with self._store.reading() as reader:
            found = bookkeeping.standings(reader).values()
            return any(_stops_at_unreadable(reader, at) for at in found)

    def upgrade(self, stop: threading.Event | None = None) -> None:
        """Builds anew what an older program built, beside its follower, which then gives way."""
        for projection in self._projections:
            with self._store.reading() as reader:
                at = bookkeeping.standing(reader, projection.name)
            if at is not None and at.version < projection.version:
                with contextlib.suppress(_Stopped):
                    self._rebuild(projection, at, stop)

    def _rebuild(self, projection: Projection, at: Standing, stop: threading.Event | None) -> None:
        def go_on(_done: int, _total: int) -> None:
            if stop is not None and stop.is_set():
                raise _Stopped

        try:
            rebuild(self._store, projection, self._clock, go_on)
        except SwitchedMeanwhile:
            return
        except FoldFailed as error:
            if at.version == projection.version:
                return  # following takes it up to the event, and halts it there
            with self._store.writing() as tx:
                reason = f"version {projection.version} cannot be built: {error.reason}"
                bookkeeping.halt(tx, at.name, at.generation, at.position + 1, reason)

    def round(self) -> int:
        """Takes what is new into every projection, in one transaction.

        Returns the number of events by which the projections together went on.
        """
        taken = self._take_all()
        try:
            moved = self._apply(taken)
        except STORE_TROUBLE:
            raise
        except Exception:
            return sum(self.step(projection) for projection, _, _ in taken)
        for projection, at, found in taken:
            if found.failure is not None:
                self._halt(projection, at, found.failure)
        return moved

    def step(self, projection: Projection) -> int:
        """One batch of one projection, event by event if it cannot be applied whole.

        Returns the number of events it went on by: 0 when nothing is new, when it is halted, or
        when another follower was faster.
        """
        with self._store.reading() as reader:
            at = self._standing(reader, projection)
            if at is None:
                return 0
            found = _take(reader, reader, projection, at, LIMIT)
        try:
            moved = self._apply([(projection, at, found)])
        except STORE_TROUBLE:
            raise
        except Exception:
            return self._one_by_one(projection, at, found.upto)
        if found.failure is not None:
            self._halt(projection, at, found.failure)
        return moved

    def _one_by_one(self, projection: Projection, at: Standing, upto: int) -> int:
        moved = 0
        while at.position < upto:
            with self._store.reading() as reader:
                found = _take(reader, reader, projection, at, 1)
            try:
                if self._apply([(projection, at, found)]) == 0:
                    return moved
            except STORE_TROUBLE:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                self._halt(projection, at, FoldFailed(at.name, at.position + 1, reason))
                return moved
            at = _moved(at, found.upto)
            moved += 1
        return moved

    def _take_all(self) -> list[tuple[Projection, Standing, Taken]]:
        taken = []
        with self._store.reading() as reader:
            self._seen = reader.head()
            log = SharedReading(reader)
            for projection in self._projections:
                at = self._standing(reader, projection)
                if at is not None:
                    taken.append((projection, at, _take(reader, log, projection, at, LIMIT)))
        return taken

    def _standing(self, reader: Reader, projection: Projection) -> Standing | None:
        at = bookkeeping.standing(reader, projection.name)
        ours = at is not None and at.status == "live" and at.version == projection.version
        return at if ours else None

    def _apply(self, taken: list[tuple[Projection, Standing, Taken]]) -> int:
        """A crash before the commit leaves rows and positions as they were."""
        news = [(at, found) for _, at, found in taken if found.upto > at.position]
        if not news:
            return 0
        moved = 0
        with self._store.writing() as tx:
            for at, found in news:
                if bookkeeping.advance(tx, at, found.upto):
                    execute(tx, found.steps)
                    moved += found.upto - at.position
        return moved

    def _halt(self, projection: Projection, at: Standing, failure: FoldFailed) -> None:
        if self.gives_way and isinstance(failure, EventUnreadable):
            raise GaveWay(str(failure))
        with self._store.writing() as tx:
            bookkeeping.halt(tx, projection.name, at.generation, failure.position, failure.reason)


def _stops_at_unreadable(reader: Reader, at: Standing) -> bool:
    """Whether it halted where this program cannot read on either."""
    if at.status != "halted" or at.error_position is None:
        return False
    try:
        reader.read_sealed(at.error_position - 1, 1, at.error_position)
    except UnreadableEvent:
        return True
    return False


def _take(reader: Reader, log: Readable, projection: Projection, at: Standing, limit: int) -> Taken:
    skipped = bookkeeping.skipped(reader, projection.name, at.position)
    return take(log, projection, at.position, limit, skipped=skipped)


def _moved(at: Standing, position: int) -> Standing:
    return Standing(
        at.name,
        at.version,
        at.generation,
        position,
        at.status,
        at.error,
        at.error_position,
        at.switched_at,
    )
