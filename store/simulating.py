"""The recorded history run under other rules: the log read once, append by append."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast
from uuid import UUID

import msgspec

from gatebook.domain import identity
from gatebook.domain.catalogue import BY_TOPIC
from gatebook.domain.envelope import Recorded
from gatebook.domain.simulated_holders import Holders
from gatebook.domain.simulated_lockout import LockoutPart, SourceOf
from gatebook.domain.simulated_roles import Moved, RolesPart, moved
from gatebook.domain.simulated_sign_ins import MappingsPart, MfaPart, PasswordsPart
from gatebook.domain.simulation import Part, Proposal, Tally
from gatebook.store.log_reader import LogReader, StoredRow
from gatebook.store.mapper import EventMapper
from gatebook.store.replaying import EVENTS, TOLD_EVERY, Tell

OPENED: Final = frozenset({identity.IdentityGroupsChanged})
"""Events whose personal part a simulation looks at."""


class Span(msgspec.Struct, frozen=True):
    """What is reported: `first <= position <= last`. What came before is folded all the same."""

    first: int
    last: int


class Simulated(msgspec.Struct, frozen=True):
    """What would have been otherwise; whose permissions would be others at the end."""

    tally: Tally
    moved: list[Moved]
    events: int


class Simulation:
    """One proposal over one log."""

    def __init__(self, proposal: Proposal, mapper: EventMapper, source_of: SourceOf) -> None:
        self._proposal = proposal
        self._mapper = mapper
        self._holders = Holders()
        self._parts = list(_parts(proposal, self._holders, source_of))
        needs_holders = any(not isinstance(p, LockoutPart | PasswordsPart) for p in self._parts)
        kinds = {kind for part in self._parts for kind in part.kinds}
        self._kinds = kinds | set(Holders.kinds if needs_holders else ())

    def run(self, reader: LogReader, span: Span, limit: int, tell: Tell) -> Simulated:
        """Goes through the log, within a snapshot. Raises UnreadableEvent."""
        tally, at = Tally(limit), 0
        for append in self._appends(reader, span.last, tell):
            at = append[0].metadata.at
            reporting = append[0].position >= span.first
            for part in self._parts:
                for finding in part.take(append, reporting=reporting):
                    tally.add(finding)
            self._holders.take(append)
        for part in self._parts:
            for finding in part.end():
                tally.add(finding)
        others = self._proposal.roles
        return Simulated(tally, list(moved(self._holders, others, at)) if others else [], span.last)

    def _appends(self, reader: LogReader, upto: int, tell: Tell) -> Iterator[Sequence[Recorded]]:
        """The events that count, those of one append together: they share their envelope."""
        wanted = {kind.TOPIC: kind in OPENED for kind in self._kinds}
        waiting: list[Recorded] = []
        envelope = b""
        for row in reader.rows(EVENTS, (0, upto)):
            stored = cast("StoredRow", row)
            if stored[0] % TOLD_EVERY == 0:
                tell(stored[0], upto)
            topic = stored[4]
            if topic not in wanted and topic in BY_TOPIC:
                continue
            if waiting and stored[5] != envelope:
                yield waiting
                waiting = []
            waiting.append(self._recorded(stored, opened=wanted.get(topic, False)))
            envelope = stored[5]
        if waiting:
            yield waiting
        tell(upto, upto)

    def _recorded(self, row: StoredRow, *, opened: bool) -> Recorded:
        position, recorded_at, stream, version, topic, metadata, payload = row
        stream_id = msgspec.convert(stream, UUID)
        event, envelope = self._mapper.decode(
            topic, stream_id, version, payload, metadata, position, sealed=not opened
        )
        return Recorded(position, recorded_at, stream_id, version, topic, event, envelope)


def _parts(proposal: Proposal, holders: Holders, source_of: SourceOf) -> Iterator[Part]:
    """A part for each rule that is proposed."""
    if proposal.lockout is not None:
        yield LockoutPart(proposal.lockout, source_of)
    if proposal.roles:
        yield RolesPart(proposal.roles, holders)
    if proposal.mappings:
        yield MappingsPart(proposal.mappings, holders)
    if proposal.password_max_age is not None:
        yield PasswordsPart(proposal.password_max_age)
    if proposal.mfa_required_for is not None:
        yield MfaPart(proposal.mfa_required_for, holders)
