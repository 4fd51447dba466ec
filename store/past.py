"""Access as it stood at a place of the log: the fold and the questions of the present, asked there.

What decides access now is folded anew from the events up to the place, as far as they matter for
the question, into tables that live as long as the answer. So the past cannot be judged by other
rules than the present was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import msgspec

from gatebook.domain import policy
from gatebook.domain.catalogue import EVENTS
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import subject_of, type_of
from gatebook.projections import bookkeeping
from gatebook.projections.access import ACCESS
from gatebook.projections.access_view import AccessView
from gatebook.projections.audit import PROJECTION as AUDIT
from gatebook.projections.batch import Batch, execute
from gatebook.projections.federation import FederationView
from gatebook.projections.opened import Opened
from gatebook.projections.rows import marks, number, uuid
from gatebook.projections.tables import LIVE, create_table
from gatebook.store.log import Log
from gatebook.store.log_reader import AT_ONCE, LARGEST, LogReader
from gatebook.store.scratch import MEMORY, Scratch, open_scratch

BATCH: Final = 5_000


class Place(msgspec.Struct, frozen=True):
    """A moment of the past. `at` in microseconds; `position` is the last event it includes."""

    at: int
    position: int


class Streams(msgspec.Struct, frozen=True):
    """Which events a question needs, by their kinds of stream: of accounts, and of everybody.

    The accounts' own streams are always among them.
    """

    of_accounts: frozenset[str]
    of_all: frozenset[str]


GRANTS: Final = Streams(frozenset(), frozenset({"role"}))
"""Who may do what."""

SIGN_INS: Final = Streams(
    frozenset({"session", "token", "api-key", "breakglass"}), frozenset({"role", "signing-keys"})
)
"""What somebody signed in with, and what that was worth."""

CONFIGURED: Final = Streams(frozenset(), frozenset({"provider", "group-mapping", "identity"}))
"""Providers, what their groups stand for, and who is linked to them."""


class PastAccess(msgspec.Struct, frozen=True):
    """The views of the present, on the past."""

    access: AccessView
    federations: FederationView
    source: Scratch


class Past:
    """Answers about the past of one log. Any thread may use it."""

    def __init__(self, log: Log, opened: Opened) -> None:
        self.log = log
        self._opened = opened

    @contextmanager
    def at(
        self, place: Place, streams: Streams, accounts: Collection[UUID] = ()
    ) -> Iterator[PastAccess]:
        """Access as it stood, as far as `streams` tell, for some accounts."""
        with self.log.reading() as reader:
            events = events_for(reader, streams, accounts, place.position)
            required = mfa_required_for(reader, place.position)
        with self.folded(events, required) as access:
            yield access

    @contextmanager
    def folded(
        self, events: Iterable[Recorded], mfa_required_for: frozenset[str]
    ) -> Iterator[PastAccess]:
        """Access as these events alone leave it."""
        with open_scratch(MEMORY) as scratch:
            create(scratch)
            fold(scratch, events)
            opening = _Opening(scratch, self.log)
            access = AccessView(opening, mfa_required_for, self._opened)
            yield PastAccess(access, FederationView(scratch), scratch)


def create(scratch: Scratch) -> None:
    """Makes the empty tables of `access`."""
    for table in ACCESS.tables:
        scratch.execute(create_table(table, "sqlite", suffix=LIVE, generation=0))


def fold(scratch: Scratch, events: Iterable[Recorded]) -> None:
    """Folds events into them, in their order."""
    batch = Batch()
    for count, recorded in enumerate(events, start=1):
        for change in ACCESS.fold(recorded):
            batch.add(change)
        if count % BATCH == 0:
            execute(scratch, batch.steps())
            batch = Batch()
    execute(scratch, batch.steps())


def events_for(
    reader: LogReader, streams: Streams, accounts: Collection[UUID], upto: int
) -> list[Recorded]:
    """The events that a question needs, ascending; those of everybody included."""
    ids = sorted(accounts, key=lambda account: account.bytes)
    wanted = set(positions(reader, types_of(streams.of_all), 0, upto))
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        wanted.update(positions(reader, types_of(streams.of_accounts), 0, upto, some))
    own = reader.streams(ids, upto)
    rest = sealed(reader, sorted(wanted))
    return sorted((*own, *rest), key=lambda recorded: recorded.position)


def positions(
    reader: LogReader,
    types: Collection[str],
    after: int,
    upto: int,
    accounts: Collection[UUID] | None = None,
    most: int = LARGEST,
) -> list[int]:
    """Positions of events by type, ascending, `after < position <= upto`; about some accounts.

    The first `most` of them. By the audit index as far as that has followed, behind it by the log.
    """
    if not types:
        return []
    params: list[str | int | bytes] = [*types, after, upto]
    if accounts is None:
        column, rest = "type", "ORDER BY position LIMIT ?"
        params.append(most)
    else:
        # An account has few events and a type has many: only the index by account may be taken.
        column, rest = "type || ''", f"AND account_id IN ({marks(len(accounts))})"
        params += [account.bytes for account in accounts]
    rows = reader.query(
        f"SELECT position FROM audit WHERE {column} IN ({marks(len(types))}) "  # noqa: S608 - only marks
        f"AND position > ? AND position <= ? {rest}",
        params,
    )
    found = sorted(number(row[0]) for row in rows)[:most]
    for recorded in behind_index(reader, after, upto):
        if len(found) == most:
            break
        about = subject_of(recorded.event, recorded.stream_id)
        if recorded.event.type in types and (accounts is None or about in accounts):
            found.append(recorded.position)
    return found


def accounts_with(reader: LogReader, types: Collection[str], after: int, upto: int) -> set[UUID]:
    """The accounts that events of some types are about, `after < position <= upto`."""
    rows = reader.query(
        f"SELECT DISTINCT account_id FROM audit WHERE type IN ({marks(len(types))}) "  # noqa: S608 - only marks
        "AND position > ? AND position <= ? AND account_id IS NOT NULL",
        (*types, after, upto),
    )
    found = {uuid(row[0]) for row in rows}
    for recorded in behind_index(reader, after, upto):
        about = subject_of(recorded.event, recorded.stream_id)
        if recorded.event.type in types and about is not None:
            found.add(about)
    return found


def sealed(reader: LogReader, wanted: Sequence[int]) -> Iterator[Recorded]:
    """The events at positions, what is personal or secret left out."""
    for start in range(0, len(wanted), AT_ONCE):
        yield from reader.events(wanted[start : start + AT_ONCE], sealed=True)


def types_of(streams: Collection[str]) -> tuple[str, ...]:
    """The types of all events that stand in such streams."""
    return tuple(sorted({type_of(each) for each in EVENTS if each.STREAM in streams}))


def indexed_to(reader: LogReader) -> int:
    """Up to where the audit index has followed the log."""
    standing = bookkeeping.standing(reader, AUDIT.name)
    return 0 if standing is None else standing.position


def behind_index(reader: LogReader, after: int, upto: int) -> Iterator[Recorded]:
    """The events that the audit index has not come to, of `after < position <= upto`."""
    after = max(after, indexed_to(reader))
    while after < upto:
        events = reader.read_sealed(after, BATCH, upto)
        if not events:
            return
        yield from events
        after = events[-1].position


def mfa_required_for(reader: LogReader, upto: int) -> frozenset[str]:
    """The roles that counted only with two factors."""
    state = policy.Adopted()
    for recorded in reader.stream(policy.STREAM_ID, upto_position=upto):
        state = policy.evolve(state, recorded.event)  # type: ignore[arg-type]  # its only kind
    return frozenset() if state.policy is None else frozenset(state.policy.mfa_required_for)


class _Opening:
    """Queries go to the scratch, what is sealed is opened from the log."""

    def __init__(self, scratch: Scratch, log: Log) -> None:
        self.query = scratch.query
        self.events = log.events
