"""Sign-ins under other rules: what providers' groups stand for, old passwords, second factors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from gatebook.domain import (
    federation,
    group_mapping,
    identity,
    password,
    policy,
    session,
)
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.domain.proofs import AAL2
from gatebook.domain.simulated_holders import Holders
from gatebook.domain.simulation import Finding, MappingProposal, What

BREAK_GLASS: Final = "break-glass"
Mapped = tuple[UUID, str, str]
"""(provider, group, role)."""


class MappingsPart:
    """See `gatebook.domain.simulation.Part`. `holders` is folded after this part was asked."""

    kinds: Final[tuple[type[Event], ...]] = (
        group_mapping.GroupMappingAdded,
        group_mapping.GroupMappingRemoved,
        identity.IdentityGroupsChanged,
        identity.IdentityUnlinked,
        federation.FederatedLoginCompleted,
        federation.FederatedLoginFailed,
    )

    def __init__(self, proposed: Iterable[MappingProposal], holders: Holders) -> None:
        wanted = {(one.provider_id, one.group, one.role): not one.remove for one in proposed}
        self._added = {one for one, stays in wanted.items() if stays}
        self._removed = {one for one, stays in wanted.items() if not stays}
        self._holders = holders
        self._mapped: dict[UUID, Mapped] = {}
        self._groups: dict[tuple[UUID, UUID], tuple[str, ...] | None] = {}

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        found: list[Finding] = []
        for recorded in append:
            match recorded.event:
                case group_mapping.GroupMappingAdded() as event:
                    mapped = (event.provider_id, event.group, event.role)
                    self._mapped[recorded.stream_id] = mapped
                case group_mapping.GroupMappingRemoved():
                    self._mapped.pop(recorded.stream_id, None)
                case identity.IdentityGroupsChanged() as event:
                    self._groups[event.account_id, event.provider_id] = event.groups
                case identity.IdentityUnlinked() as event:
                    self._groups.pop((event.account_id, event.provider_id), None)
                case federation.FederatedLoginCompleted() as event if reporting:
                    found += self._signed_in(recorded, event)
                case federation.FederatedLoginFailed(reason="unmapped_groups") if reporting:
                    found += self._refused(recorded, recorded.event)
                case _:
                    pass
        return found

    def end(self) -> Iterable[Finding]:
        """Nothing had to wait."""
        return ()

    def _signed_in(
        self, recorded: Recorded, event: federation.FederatedLoginCompleted
    ) -> Iterator[Finding]:
        real = {one for one in self._mapped.values() if one[0] == event.provider_id}
        added = {one for one in self._added if one[0] == event.provider_id}
        other = (real - self._removed) | added
        if real == other:
            return
        groups = self._groups.get((event.account_id, event.provider_id))
        if groups is None:
            yield _groups_unknown(recorded, event.account_id, "signed in")
            return
        at = recorded.metadata.at
        kept = {
            name
            for name in self._holders.held(event.account_id, at)
            if self._source(event.account_id, name) != group_mapping.source_of(event.provider_id)
        }
        before, after = (
            {role for _provider, group, role in mapped if group in groups} - kept
            for mapped in (real, other)
        )
        before, after = (
            {role for role in roles if self._holders.exists(role)} for roles in (before, after)
        )
        if before == after:
            return
        moved = {"gained": ", ".join(sorted(after - before))}
        moved["lost"] = ", ".join(sorted(before - after))
        what: What = "other-roles" if after or kept else "sign-in-refused"
        yield _finding("mappings", recorded, what, event.account_id, moved)

    def _refused(
        self, recorded: Recorded, event: federation.FederatedLoginFailed
    ) -> Iterator[Finding]:
        """With which groups somebody came who was refused for want of a role is not recorded."""
        added = {one for one in self._added if one[0] == event.provider_id}
        if added - set(self._mapped.values()):
            yield _groups_unknown(recorded, event.account_id, "refused")

    def _source(self, account_id: UUID, name: str) -> str:
        return self._holders.account(account_id).grants[name].source


class PasswordsPart:
    """See `gatebook.domain.simulation.Part`. Whoever was asked once has another password then."""

    kinds: Final[tuple[type[Event], ...]] = (password.PasswordSet, session.LoginSucceeded)

    def __init__(self, max_age: int) -> None:
        self._max_age = max_age
        self._set_at: dict[UUID, int] = {}

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        found: list[Finding] = []
        for recorded in append:
            at = recorded.metadata.at
            match recorded.event:
                case password.PasswordSet(account_id=account_id):
                    self._set_at[account_id] = at
                case session.LoginSucceeded(account_id=account_id, proofs=proofs) if reporting:
                    set_at = self._set_at.get(account_id)
                    if "password" in proofs and set_at is not None and at - set_at > self._max_age:
                        days = {"days": str((at - set_at) // (86_400 * 1_000_000))}
                        what: What = "password-change-asked"
                        found.append(_finding("passwords", recorded, what, account_id, days))
                        self._set_at[account_id] = at
                case _:
                    pass
        return found

    def end(self) -> Iterable[Finding]:
        """Nothing had to wait."""
        return ()


class MfaPart:
    """See `gatebook.domain.simulation.Part`. `holders` is folded after this part was asked."""

    kinds: Final[tuple[type[Event], ...]] = (
        policy.PolicyAdopted,
        session.LoginSucceeded,
        session.SessionOpened,
    )

    def __init__(self, required_for: frozenset[str], holders: Holders) -> None:
        self._required_for = required_for
        self._holders = holders
        self._policies: dict[int, policy.Policy] = {}

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        proved: session.LoginSucceeded | None = None
        found: list[Finding] = []
        for recorded in append:
            match recorded.event:
                case policy.PolicyAdopted(policy=adopted):
                    self._policies[recorded.version] = adopted
                case session.LoginSucceeded() as event:
                    proved = event
                case session.SessionOpened() as event if reporting and proved is not None:
                    found += self._signed_in(recorded, event, proved.policy)
                case _:
                    pass
        return found

    def end(self) -> Iterable[Finding]:
        """Nothing had to wait."""
        return ()

    def _signed_in(
        self, recorded: Recorded, event: session.SessionOpened, version: int
    ) -> Iterator[Finding]:
        is_person = self._holders.account(event.account_id).kind == "human"
        if event.acr == AAL2 or event.origin == BREAK_GLASS or not is_person:
            return
        in_force = self._policies.get(version)
        before = frozenset(in_force.mfa_required_for) if in_force is not None else frozenset()
        held = set(self._holders.held(event.account_id, recorded.metadata.at))
        steps: tuple[tuple[What, frozenset[str]], ...] = (
            ("roles-held-back", self._required_for - before),
            ("roles-not-held-back", before - self._required_for),
        )
        for what, roles in steps:
            if concerned := held & roles:
                said = {"roles": ", ".join(sorted(concerned))}
                yield _finding("mfa", recorded, what, event.account_id, said)


def _groups_unknown(recorded: Recorded, account_id: UUID | None, ended: str) -> Finding:
    at, position = recorded.metadata.at, recorded.position
    said = {"sign-in": ended}
    return Finding("mappings", "groups-unknown", "unknown", position, at, account_id, said)


def _finding(
    rule: str, recorded: Recorded, what: What, account_id: UUID, detail: dict[str, str]
) -> Finding:
    at, position = recorded.metadata.at, recorded.position
    return Finding(rule, what, "owner", position, at, account_id, detail)  # type: ignore[arg-type]  # of this file
