"""The library's Application, and how every command runs: decide, append once, answer after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import (
    InfrastructureFactory,
    IntegrityError,
    OperationalError,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from gatebook.domain import idempotency, session
from gatebook.domain.access import Access
from gatebook.domain.envelope import Actor, Entry, Metadata, Source
from gatebook.domain.errors import (
    Conflict,
    Forbidden,
    InvalidCredentials,
    Refusal,
    StoreUnavailable,
)
from gatebook.domain.event import Event
from gatebook.domain.permissions import ALL
from gatebook.domain.policy import STREAM_ID, Adopted, Policy, evolve
from gatebook.domain.ports import Clock, Envelopes, Guesses, Ids, Keys, Log, Names, Refusals, Signer
from gatebook.domain.session import Session, SessionEnded

ATTEMPTS = 8
"""How often a command is decided when others keep moving first."""

FOLLOWED = 2_000
"""Streams whose folded state is kept."""

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR

S = TypeVar("S")
T = TypeVar("T")


class Idempotency(msgspec.Struct, frozen=True):
    """An Idempotency-Key: its stream, the request's keyed hash, how an answer is rendered."""

    stream_id: UUID
    request_hash: bytes
    render: Callable[[Any], bytes]


class By(msgspec.Struct, frozen=True):
    """Who gives a command, from where, and with which permissions.

    What is known of an account here was true when the request came in. It is asked again before
    the command is recorded: a command in flight does not outlive its giver's authority.
    `presented` is the kind and id of what he showed: a token, a session or an API key.
    """

    actor: Actor
    request_id: str = ""
    source: Source | None = None
    permissions: frozenset[str] = frozenset()
    account_id: UUID | None = None
    epoch: int = 0
    presented: tuple[str, UUID] | None = None
    session_id: UUID | None = None
    auth_time: int | None = None
    acr: str = ""
    idempotency: Idempotency | None = None

    def may(self, permissions: Iterable[str]) -> None:
        """Raises Forbidden unless he holds all of these himself."""
        for permission in sorted(set(permissions) - self.permissions):
            raise Forbidden(permission)


def local(user: str) -> By:
    """Somebody at the command line of this machine, who may do everything."""
    return By(actor=Actor("local", user), permissions=ALL)


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """A stream's state and version; version 0 when it has no events."""

    stream_id: UUID
    version: int
    state: S

    def entries(self, events: Sequence[Event]) -> list[Entry]:
        """Events as the next of this stream."""
        return [
            Entry(self.stream_id, self.version + place, event)
            for place, event in enumerate(events, start=1)
        ]


class Decision(msgspec.Struct, Generic[T], frozen=True):
    """What a command leads to: entries to append together, then an answer or a refusal.

    `subject` is the account that the answer shows: its key seals a remembered answer, and the
    request's source when nobody is signed in. `actor` is who it turned out to be, when the command
    itself proved that. Streams in `unordered` take their entries at whatever version is next;
    those in `expected` must still stand at these versions, though nothing is appended to them.
    `counted` (account, method): the entries are not kept but counted. All the work of an append is
    done, and undone, so that a refusal without an event takes as long as one with.
    """

    result: T
    entries: list[Entry] = []
    refusal: Refusal | None = None
    subject: UUID | None = None
    actor: Actor | None = None
    unordered: frozenset[UUID] = frozenset()
    expected: dict[UUID, int] = {}
    counted: tuple[UUID, str] | None = None


class Configuration(msgspec.Struct, frozen=True):
    """The settings that commands depend on. Durations in microseconds."""

    policy: Policy
    issuer: str
    audience: str
    algorithm: str
    release: str


class Evolve(Protocol[S]):
    """State and event to state."""

    def __call__(self, state: S, event: Any, /) -> S: ...


class Gatebook(Application[UUID]):
    """The event-sourced application. Command families in this package are built around one."""

    name = "gatebook"

    def __init__(
        self,
        *,
        factory: InfrastructureFactory[TrackingRecorder],
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        names: Names,
        keys: Keys,
        signer: Signer,
        log: Log,
        envelopes: Envelopes,
        access: Access,
        refusals: Refusals,
        guesses: Guesses,
    ) -> None:
        self._given_factory = factory
        self.configuration = configuration
        self.clock = clock
        self.ids = ids
        self.names = names
        self.keys = keys
        self.signer = signer
        self.event_log = log
        self.envelopes = envelopes
        self.access = access
        self.refusals = refusals
        self.guesses = guesses
        self._policy_version = 0
        self._followed: dict[tuple[str, UUID], Loaded[Any]] = {}
        super().__init__()

    @property
    def policy(self) -> Policy:
        """The policy this process decides by."""
        return self.configuration.policy

    @property
    def policy_version(self) -> int:
        """The version of the policy in force, as the log numbers it."""
        if self._policy_version == 0:
            self._policy_version = self.load(STREAM_ID, Adopted(), evolve).version
        return self._policy_version

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:  # noqa: ARG002
        """Empty: the process environment must not reach the library (it turns on caches)."""
        return Environment(name, {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[TrackingRecorder]:  # noqa: ARG002
        """The factory that the composition root opened."""
        return self._given_factory

    def load(
        self, stream_id: UUID, initial: S, evolve: Evolve[S], *, of: str | None = None
    ) -> Loaded[S]:
        """Folds a whole stream.

        An id that a caller named may be that of another kind of stream: then `of` says which kind
        is meant, and any other is as if it were not there.
        """

        def project(_initial: Any, entries: Iterable[Any]) -> Any:
            state, version = initial, 0
            for entry in entries:
                if of is not None and of != entry.event.STREAM:
                    return None
                state, version = evolve(state, entry.event), entry.originator_version
            return Loaded(stream_id, version, state) if version else None

        try:
            loaded: Loaded[S] = self.repository.get(stream_id, projector_func=project)
        except AggregateNotFoundError:
            return Loaded(stream_id, 0, initial)
        return loaded

    def follow(self, stream_id: UUID, initial: S, evolve: Evolve[S], *, of: str) -> Loaded[S]:
        """As `load`, for a stream that is asked for again and again.

        What was folded of it is kept, and only what is new is read: the log never changes. Not for
        streams whose state is personal: what was kept of it would outlive its owner's key.
        """
        known = self._followed.get((of, stream_id))
        if known is None:
            loaded = self.load(stream_id, initial, evolve, of=of)
        else:
            loaded = known
            for recorded in self.event_log.stream(stream_id, known.version):
                state = evolve(loaded.state, recorded.event)
                loaded = Loaded(stream_id, recorded.version, state)
        if loaded.version:
            if len(self._followed) >= FOLLOWED:
                self._followed = {}
            self._followed[of, stream_id] = loaded
        return loaded

    def session(self, session_id: UUID) -> Loaded[Session]:
        """A session: who renews for a month leaves thousands of events.

        An id of anything else is as if it were not there.
        """
        return self.follow(session_id, Session(), session.evolve, of="session")

    def version(self, stream_id: UUID) -> int:
        """The version of a stream; 0 when it has no events."""
        newest = self.event_log.last(stream_id, 1)
        return newest[0].version if newest else 0

    def tail(self, stream_id: UUID, count: int, initial: S, evolve: Evolve[S]) -> Loaded[S]:
        """Folds the last events of a stream whose events carry their outcome."""
        state, version = initial, 0
        for recorded in self.event_log.last(stream_id, count):
            state, version = evolve(state, recorded.event), recorded.version
        return Loaded(stream_id, version, state)

    def run(self, by: By, decide: Callable[[int], Decision[T]], *, attempts: int = ATTEMPTS) -> T:
        """Runs a command: decides, appends, answers. Whoever loses a race decides again.

        Raises the decision's refusal after it is recorded, Remembered for a command done before,
        StoreUnavailable when the log cannot be reached, Conflict when others keep winning.
        A crash before the append leaves nothing; after it, the whole command.
        """
        try:
            for _attempt in range(attempts):
                now = self.clock.now()
                answered = self._once(by, now, decide)
                if answered is not None:
                    decision = answered
                    if decision.refusal is not None:
                        raise decision.refusal
                    return decision.result
                # Should the log have lost its end, what was kept of it would lose for ever.
                self._followed = {}
        except OperationalError as error:
            raise StoreUnavailable(f"The log cannot be reached: {error}") from error
        raise Conflict("Others kept changing the same thing. Nothing was recorded; try again.")

    def _once(self, by: By, now: int, decide: Callable[[int], Decision[T]]) -> Decision[T] | None:
        done = self._done_before(by, now)
        try:
            decision = decide(now)
        except Refusal:
            # The same request, a moment ahead of this one, may be what it was refused for.
            self._done_before(by, now)
            raise
        if decision.refusal is not None:
            # As above: a renewal must not take its own first go for a reuse, and end the family.
            self._done_before(by, now)
        entries = list(decision.entries)
        if done is not None and by.idempotency is not None and decision.refusal is None:
            entries += done.entries([self._remembered(by.idempotency, decision, now)])
        if not entries:
            return decision
        expected = self._authority(by, now) | decision.expected
        if decision.actor is not None:
            by = msgspec.structs.replace(by, actor=decision.actor)
        try:
            instead = None
            if decision.counted is not None:
                instead = self.refusals.counting(*decision.counted, now)
            self.record(
                entries, by, now, decision.subject, decision.unordered, expected, instead=instead
            )
        except IntegrityError:
            return None
        return decision

    def _authority(self, by: By, now: int) -> dict[UUID, int]:
        """Asks whether the giver still may, and returns what must not move until the append.

        Raises InvalidCredentials when his account or session ended, Forbidden when he lost a
        permission since the request came in.
        """
        if by.account_id is None:
            return {}
        live = self.access.account(by.account_id, now)
        if live is None or live.status != "active" or live.epoch != by.epoch:
            raise InvalidCredentials("The token ended while the request was under way.")
        for permission in sorted(by.permissions - live.permissions):
            raise Forbidden(permission)
        expected = {by.account_id: live.version}
        if by.presented is not None:
            kind, presented_id = by.presented
            if self.access.caller(kind, presented_id, now) is None:
                raise InvalidCredentials(
                    "What was presented ended while the request was under way."
                )
            expected[presented_id] = self.version(presented_id)
        if by.session_id is not None:
            newest = self.event_log.last(by.session_id, 1)
            if not newest or isinstance(newest[0].event, SessionEnded):
                raise InvalidCredentials("The session ended while the request was under way.")
            expected[by.session_id] = newest[0].version
        return expected

    def _remembered(
        self, asked: Idempotency, decision: Decision[Any], now: int
    ) -> idempotency.CommandDone:
        rendered = asked.render(decision.result)
        sealed = self.keys.seal_answer(decision.subject, rendered, asked.request_hash)
        return idempotency.CommandDone(
            day=_day(now),
            shown=decision.subject,
            request_hash=asked.request_hash,
            expires_at=now + idempotency.REMEMBERED_FOR,
            answer=idempotency.Answer(sealed),
        )

    def _done_before(self, by: By, now: int) -> Loaded[idempotency.Done] | None:
        if by.idempotency is None:
            return None
        done = self.load(by.idempotency.stream_id, idempotency.Done(), idempotency.evolve)
        unseal = self.keys.open_answer
        idempotency.check(by.idempotency.request_hash, now, done.state, unseal)
        return done

    def record(
        self,
        entries: Sequence[Entry],
        by: By,
        now: int,
        subject: UUID | None = None,
        unordered: frozenset[UUID] = frozenset(),
        expected: dict[UUID, int] | None = None,
        *,
        instead: Callable[[Any], None] | None = None,
    ) -> int:
        """Appends entries in one transaction. Returns the last one's position.

        `instead`: what the store does in their place, once it has rehearsed the append.
        """
        envelope = self._envelope(by, now, subject)
        recordings = self.save(
            *entries,
            metadata=self.envelopes.encode_metadata(envelope),
            envelope=envelope,
            unordered=unordered,
            expected=expected or {},
            instead=instead,
        )
        return recordings[-1].notification.id

    def record_one(self, event: Event, stream_id: UUID, by: By, now: int | None = None) -> None:
        """Appends one event at the end of its stream, wherever that is: what depends on no state.

        `now` is the clock's unless it is given.
        """
        entry = Entry(stream_id, 0, event)
        at = self.clock.now() if now is None else now
        self.record([entry], by, at, unordered=frozenset({stream_id}))

    def _envelope(self, by: By, now: int, subject: UUID | None) -> Metadata:
        if by.source is None:
            return Metadata(actor=by.actor, at=now, request_id=by.request_id)
        whose, sealed = self.keys.seal_source(by.account_id or subject, by.source, by.request_id)
        return Metadata(
            actor=by.actor,
            at=now,
            request_id=by.request_id,
            source_subject=whose,
            source=sealed,
        )


def _day(at: int) -> str:
    return str(at // DAY)
