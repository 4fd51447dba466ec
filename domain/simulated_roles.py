"""What accounts did through their permissions, under other definitions of roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from gatebook.domain import (
    account,
    api_key,
    attempts,
    break_glass,
    client,
    denials,
    group_mapping,
    identity,
    passkey,
    password,
    provider,
    readings,
    recovery_codes,
    role,
    session,
    signing_keys,
    token,
    totp,
)
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event, subject_of
from gatebook.domain.simulated_holders import Definitions, Holders
from gatebook.domain.simulation import Finding

ALWAYS: Final[dict[type[Event], str]] = {
    account.AccountCreated: "accounts.write",
    account.AccountRenamed: "accounts.write",
    account.AccountProfileChanged: "accounts.write",
    account.AccountDeactivated: "accounts.write",
    account.AccountActivated: "accounts.write",
    account.AccountDeleted: "accounts.write",
    account.AccountRestored: "accounts.write",
    account.AccountErased: "accounts.erase",
    break_glass.CredentialSet: "auth.breakglass.admin",
    break_glass.CredentialRemoved: "auth.breakglass.admin",
    client.ClientConfigured: "credentials.write",
    client.ClientRemoved: "credentials.write",
    group_mapping.GroupMappingAdded: "oidc.write",
    group_mapping.GroupMappingRemoved: "oidc.write",
    identity.IdentityUnlinked: "credentials.write",
    provider.ProviderCreated: "oidc.write",
    provider.ProviderChanged: "oidc.write",
    provider.ProviderRemoved: "oidc.write",
    readings.AuditRead: "audit.read",
    readings.AuditExported: "audit.read",
    role.RoleDefined: "roles.write",
    role.RoleDeleted: "roles.write",
    signing_keys.KeyCreated: "keys.write",
    signing_keys.KeyActivated: "keys.write",
    signing_keys.KeyRetired: "keys.write",
}
"""The permission that the route asks for which leads to an event, whoever it is about."""

OF_OTHERS: Final[dict[type[Event], str]] = {
    api_key.ApiKeyCreated: "credentials.write",
    api_key.ApiKeyRotated: "credentials.write",
    api_key.ApiKeyRevoked: "credentials.write",
    attempts.LockoutCleared: "credentials.write",
    passkey.PasskeyRemoved: "credentials.write",
    password.PasswordRemoved: "credentials.write",
    password.PasswordSet: "credentials.write",
    recovery_codes.RecoveryCodesRemoved: "credentials.write",
    session.SessionEnded: "credentials.write",
    token.TokenIssued: "tokens.issue",
    token.TokenRevoked: "tokens.revoke",
    totp.TotpRemoved: "credentials.write",
}
"""The same where nobody needs a permission for his own account."""

GRANTS: Final = (account.RoleGranted, account.RoleRevoked)


class RolesPart:
    """See `gatebook.domain.simulation.Part`. `holders` is folded after this part was asked."""

    kinds: Final[tuple[type[Event], ...]] = (
        *ALWAYS,
        *OF_OTHERS,
        *GRANTS,
        account.AccountTokensRevoked,
        denials.AccessDenied,
    )

    def __init__(self, other: Definitions, holders: Holders) -> None:
        self._other = other
        self._holders = holders

    def take(self, append: Sequence[Recorded], *, reporting: bool) -> Iterable[Finding]:
        actor = append[0].metadata.actor
        if not reporting or actor.type != "account":
            return ()
        return list(self._judged(append, UUID(actor.id)))

    def end(self) -> Iterable[Finding]:
        """Nothing had to wait."""
        return ()

    def _judged(self, append: Sequence[Recorded], actor: UUID) -> Iterator[Finding]:
        at = append[0].metadata.at
        now = self._holders.permissions(actor, at, {})
        then = self._holders.permissions(actor, at, self._other)
        for recorded in append:
            if isinstance(recorded.event, denials.AccessDenied):
                wanted = recorded.event.permission
                if wanted not in now and wanted in then:
                    yield _finding(recorded, "request-allowed", actor, {wanted})
                return
        lacking = self._needed(append, actor, self._other) - then
        if lacking and not self._needed(append, actor, {}) - now:
            yield _finding(append[0], "request-refused", actor, lacking)

    def _needed(self, append: Sequence[Recorded], actor: UUID, other: Definitions) -> set[str]:
        """What the request of an append took: nobody gives, or takes, what he has not himself."""
        needed: set[str] = set()
        ended = False
        for recorded in append:
            event, whose = recorded.event, subject_of(recorded.event, recorded.stream_id)
            if type(event) in ALWAYS:
                needed.add(ALWAYS[type(event)])
            elif type(event) in OF_OTHERS and whose != actor:
                needed.add(OF_OTHERS[type(event)])
            elif isinstance(event, account.AccountTokensRevoked) and whose != actor:
                ended = True
            elif _by_hand(event, append):
                needed.add("roles.grant")
            if isinstance(event, account.RoleGranted) and event.source == "hand":
                needed |= self._holders.given(event.role, other)
            elif isinstance(event, role.RoleDefined):
                needed |= set(event.permissions)
        if ended and not needed:
            needed.add("tokens.revoke")
        return needed


def _by_hand(event: Event, append: Sequence[Recorded]) -> bool:
    """Whether a role was given or taken by a request, and not by a provider's groups."""
    if isinstance(event, account.RoleGranted):
        return event.source == "hand"
    by_provider = any(type(one.event) in _BY_PROVIDER for one in append)
    return isinstance(event, account.RoleRevoked) and not by_provider


_BY_PROVIDER: Final = frozenset({session.LoginSucceeded, identity.IdentityUnlinked})


def _finding(recorded: Recorded, what: Any, actor: UUID, permissions: set[str]) -> Finding:
    detail = {"type": recorded.event.type, "permissions": ", ".join(sorted(permissions))}
    return Finding("roles", what, "account", recorded.position, recorded.metadata.at, actor, detail)


class Moved(msgspec.Struct, frozen=True):
    """What an account would gain and lose now."""

    account_id: UUID
    gained: list[str]
    lost: list[str]


def moved(holders: Holders, other: Definitions, at: int) -> Iterator[Moved]:
    """The accounts whose permissions would be others at an instant."""
    for account_id in sorted(holders.accounts):
        now = holders.permissions(account_id, at, {})
        then = holders.permissions(account_id, at, other)
        if now != then:
            yield Moved(account_id, sorted(then - now), sorted(now - then))
