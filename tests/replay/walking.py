"""A walk through a whole log in which each decision is made again, with all streams in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from gatebook.domain import policy
from gatebook.domain.decisions import Redecided
from gatebook.domain.envelope import Recorded
from gatebook.domain.folds import FOLDS, Standing, fold_of
from gatebook.domain.judges import decide_again
from gatebook.domain.policy import Policy
from gatebook.store.log import Log

AT_ONCE = 2_000


class Walk:
    """What `Before` asks for, at the place that the walk has come to."""

    def __init__(self) -> None:
        self._streams: dict[UUID, tuple[str, Standing]] = {}
        self._policies: dict[int, Policy] = {}
        self.append: Sequence[Recorded] = ()

    def of(self, stream: str, stream_id: UUID) -> Standing:
        kind, standing = self._streams.get(stream_id, ("", Standing(None)))
        if kind == stream:
            return standing
        return Standing(FOLDS[stream].initial if stream in FOLDS else None)

    def policy(self, version: int) -> Policy | None:
        return self._policies.get(version)

    def together(self) -> Sequence[Recorded]:
        return self.append

    def through(self, log: Log) -> Iterator[tuple[Recorded, Redecided]]:
        """Every event in its order, and its decision made again."""
        for append in appends(log):
            self.append = append
            for recorded in append:
                yield recorded, self.decide(recorded)
                self.take(recorded)

    def decide(self, recorded: Recorded) -> Redecided:
        """The decision of an event that comes next."""
        return decide_again(recorded, self)

    def take(self, recorded: Recorded) -> None:
        """Goes past an event."""
        event, stream_id = recorded.event, recorded.stream_id
        before = self.of(event.STREAM, stream_id).state
        state = fold_of(event).evolve(before, event)
        self._streams[stream_id] = (event.STREAM, Standing(state, recorded.version))
        if isinstance(event, policy.PolicyAdopted):
            self._policies[recorded.version] = event.policy


def decided_with(
    log: Log, forged: Callable[[Recorded], Recorded | None]
) -> Iterator[tuple[Recorded, Redecided]]:
    """Events with something else in their place, each decided where the true one stands."""
    walk = Walk()
    for append in appends(log):
        for place, recorded in enumerate(append):
            wrong = forged(recorded)
            if wrong is not None:
                walk.append = [*append[:place], wrong, *append[place + 1 :]]
                yield wrong, walk.decide(wrong)
            walk.append = append
            walk.take(recorded)


def appends(log: Log) -> Iterator[list[Recorded]]:
    """The events of the log, those of one append together."""
    with log.reading() as reader:
        after, waiting, envelope = 0, list[Recorded](), b""
        while rows := reader.raw(after, AT_ONCE):
            after = rows[-1][0]
            for row, recorded in zip(rows, reader.decoded(rows), strict=True):
                if waiting and row[5] != envelope:
                    yield waiting
                    waiting = []
                waiting.append(recorded)
                envelope = row[5]
        if waiting:
            yield waiting
