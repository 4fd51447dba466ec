"""Every guess decided again under other lockout numbers.

Where the counters part ways, what follows is decided on from what the other numbers made of it. A
try that would have met a lock is refused unread, as in life: it counts for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import attempts, policy
from gatebook.domain.attempts import Attempts, Counter, Failure
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.domain.session import LoginSucceeded
from gatebook.domain.simulation import Finding, LockoutProposal, What, Who

SourceOf = Callable[[Recorded], str | None]
"""The address that a recorded request came from; None when there is none, or it is erased."""

LOCKING: Final = frozenset({"password", "totp", "recovery-code"})
"""Methods whose lockout `[lockout]` configures. Break-glass has its own, passkeys never lock."""


class _Waiting(msgspec.Struct):
    """A finding of which it may yet turn out that it was the owner's."""

    finding: Finding
    source: str
    until: int


class LockoutPart:
    """See `gatebook.domain.simulation.Part`."""

    kinds: Final[tuple[type[Event], ...]] = (
        policy.PolicyAdopted,
        attempts.LoginFailed,
        attempts.LockoutCleared,
        attempts.LoginRefusedWhileLocked,
        LoginSucceeded,
    )

    def __init__(self, proposal: LockoutProposal, source_of: SourceOf) -> None:
        self._proposal = proposal
        self._source_of = source_of
        self._policies: dict[int, policy.Policy] = {}
        self._real: dict[UUID, Attempts] = {}
        self._other: dict[UUID, Attempts] = {}
        self._waiting: deque[_Waiting] = deque()
        self._of_account: dict[UUID, deque[_Waiting]] = {}

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        found: list[Finding] = []
        for recorded in append:
            if self._waiting:
                found += self._settled(recorded.metadata.at)
            match recorded.event:
                case policy.PolicyAdopted(policy=adopted):
                    self._policies[recorded.version] = adopted
                case attempts.LoginFailed() as event if event.method in LOCKING:
                    found += self._failed(recorded, event, reporting=reporting)
                case attempts.LockoutCleared() as event if event.method in LOCKING:
                    found += self._cleared(recorded, event, reporting=reporting)
                case attempts.LoginRefusedWhileLocked() as event if reporting:
                    found += self._refused(recorded, event)
                case LoginSucceeded(account_id=account_id):
                    self._owner_came(recorded, account_id)
                case _:
                    pass
        return found

    def end(self) -> Iterable[Finding]:
        """Whoever did not come back was a stranger."""
        return list(self._settled(None))

    # --- the tries

    def _failed(
        self, recorded: Recorded, event: attempts.LoginFailed, *, reporting: bool
    ) -> Iterator[Finding]:
        if event.account_id is None:
            return
        stream_id, at = recorded.stream_id, event.failed_at
        real = self._real.get(stream_id, Attempts())
        other = self._other.get(stream_id, real)
        after = attempts.evolve(real, event)
        self._real[stream_id] = after
        if not reporting:
            return
        if other.locked(at):
            yield from self._met_a_lock(recorded, event)
            self._keep(stream_id, other, after)
            return
        in_force = self._policies[event.policy].lockout if event.policy in self._policies else None
        if in_force is None:
            return
        lockout = self._proposal.over(in_force)
        counter = Counter(event.account_id, event.method, event.scope)  # type: ignore[arg-type]  # as recorded
        failure = Failure(event.cause, event.matched, at, lockout, event.policy)  # type: ignore[arg-type]  # as recorded
        (decided,) = attempts.fail(counter, failure, other)
        self._keep(stream_id, attempts.evolve(other, decided), after)
        until = getattr(decided, "locked_until", None)
        if until != event.locked_until:
            yield _finding(recorded, _moved(event.locked_until, until), "account", event.account_id)

    def _met_a_lock(self, recorded: Recorded, event: attempts.LoginFailed) -> Iterator[Finding]:
        """The right secret is the owner's; a wrong one may be, if he comes right after."""
        if event.matched:
            yield _finding(recorded, "locked-out", "owner", event.account_id)
            return
        who: Who = "owner" if event.scope == "device" else "stranger"
        finding = _finding(recorded, "guess-prevented", who, event.account_id)
        source = self._source_of(recorded)
        if who == "owner" or source is None or event.account_id is None:
            yield finding
            return
        adopted = self._policies.get(event.policy)
        waiting = _Waiting(
            finding, source, event.failed_at + (adopted.lockout.reset if adopted else 0)
        )
        self._waiting.append(waiting)
        self._of_account.setdefault(event.account_id, deque()).append(waiting)

    def _cleared(
        self, recorded: Recorded, event: attempts.LockoutCleared, *, reporting: bool
    ) -> Iterator[Finding]:
        stream_id = recorded.stream_id
        other = self._other.get(stream_id, self._real.get(stream_id, Attempts()))
        self._real.pop(stream_id, None)
        if reporting and event.cause == "success" and other.locked(recorded.metadata.at):
            yield _finding(recorded, "locked-out", "owner", event.account_id)
            self._other[stream_id] = other
            return
        self._other.pop(stream_id, None)

    def _refused(
        self, recorded: Recorded, event: attempts.LoginRefusedWhileLocked
    ) -> Iterator[Finding]:
        """Tries that met a lock: only how many there were in an hour is known."""
        if event.account_id is None or event.method not in LOCKING:
            return
        stream_id = Counter(event.account_id, event.method).stream_id  # type: ignore[arg-type]  # as recorded
        if stream_id in self._other and not self._other[stream_id].locked(event.last_at):
            found = _finding(recorded, "tries-let-through", "unknown", event.account_id)
            yield msgspec.structs.replace(found, count=event.count)

    def _keep(self, stream_id: UUID, other: Attempts, real: Attempts) -> None:
        """Remembers the other state while it is another."""
        if other == real:
            self._other.pop(stream_id, None)
        else:
            self._other[stream_id] = other

    # --- whose they were

    def _owner_came(self, recorded: Recorded, account_id: UUID) -> None:
        waiting = self._of_account.get(account_id)
        if not waiting:
            return
        source = self._source_of(recorded)
        for one in waiting:
            if one.source == source and recorded.metadata.at <= one.until:
                one.finding = msgspec.structs.replace(one.finding, who="owner")

    def _settled(self, at: int | None) -> Iterator[Finding]:
        """Those that waited long enough; with None all of them."""
        while self._waiting and (at is None or self._waiting[0].until < at):
            one = self._waiting.popleft()
            yield one.finding
            account_id = one.finding.account_id
            assert account_id is not None  # others do not wait
            own = self._of_account[account_id]
            own.popleft()
            if not own:
                del self._of_account[account_id]


def _moved(real: int | None, other: int | None) -> What:
    if real is None:
        return "lock-added"
    return "lock-gone" if other is None else "lock-moved"


def _finding(recorded: Recorded, what: What, who: Who, account_id: UUID | None) -> Finding:
    return Finding("lockout", what, who, recorded.position, recorded.metadata.at, account_id)
