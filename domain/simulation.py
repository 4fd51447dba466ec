"""The recorded history under other rules: what is proposed, and what would have been otherwise.

Each rule is a part that is shown every append of the log in its order, and tells what it would have
decided otherwise. Under the rules that were in force nothing is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.domain.policy import Lockout

Rule = Literal["lockout", "roles", "mappings", "passwords", "mfa"]
Who = Literal["owner", "stranger", "unknown", "account"]
What = Literal[
    "locked-out",
    "guess-prevented",
    "tries-let-through",
    "lock-added",
    "lock-gone",
    "lock-moved",
    "request-refused",
    "request-allowed",
    "other-roles",
    "sign-in-refused",
    "groups-unknown",
    "password-change-asked",
    "roles-held-back",
    "roles-not-held-back",
]


class LockoutProposal(msgspec.Struct, frozen=True):
    """Other numbers of the lockout; None: as it was. Durations in microseconds."""

    threshold: int | None = None
    duration: int | None = None
    reset: int | None = None

    def over(self, recorded: Lockout) -> Lockout:
        """The policy that was in force, with these numbers in its place."""
        return Lockout(
            recorded.threshold if self.threshold is None else self.threshold,
            recorded.duration if self.duration is None else self.duration,
            recorded.reset if self.reset is None else self.reset,
        )


class MappingProposal(msgspec.Struct, frozen=True):
    """A group that would stand for a role, or with `remove` would not."""

    provider_id: UUID
    group: str
    role: str
    remove: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """Other rules; a part that is None or empty is left as it was.

    `roles` are by name, None for one that would not exist. `max_age` of passwords in microseconds.
    """

    lockout: LockoutProposal | None = None
    roles: dict[str, frozenset[str] | None] = {}
    mappings: tuple[MappingProposal, ...] = ()
    password_max_age: int | None = None
    mfa_required_for: frozenset[str] | None = None


class Finding(msgspec.Struct, frozen=True):
    """Something that would have been decided otherwise, at a position of the log.

    `who` it would have befallen: the account's owner, a stranger, or whom nobody can tell;
    "account" where that is no question. `count` tries are summed up in it.
    """

    rule: Rule
    what: What
    who: Who
    position: int
    at: int
    account_id: UUID | None
    detail: dict[str, str] = {}
    count: int = 1


class Part(Protocol):
    """One rule's simulation."""

    @property
    def kinds(self) -> Sequence[type[Event]]:
        """The events that it has to be shown."""
        ...

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        """What would have been otherwise about an append; nothing unless `reporting`."""
        ...

    def end(self) -> Iterable[Finding]:
        """What had to wait for the end."""
        ...


class Tally:
    """Findings counted, and the first of them kept. Bounded by the number of accounts."""

    def __init__(self, limit: int) -> None:
        self.counts: Counter[tuple[Rule, What, Who]] = Counter()
        self.accounts: dict[tuple[Rule, What, Who], set[UUID]] = {}
        self.listed: list[Finding] = []
        self.left_out = 0
        self._limit: Final = limit

    def add(self, finding: Finding) -> None:
        """Counts a finding."""
        key = (finding.rule, finding.what, finding.who)
        self.counts[key] += finding.count
        if finding.account_id is not None:
            self.accounts.setdefault(key, set()).add(finding.account_id)
        if len(self.listed) < self._limit:
            self.listed.append(finding)
        else:
            self.left_out += 1
