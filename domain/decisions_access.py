"""Decisions about accounts, roles and what is configured, made again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gatebook.domain import (
    account,
    administrators,
    client,
    denials,
    first_admin,
    group_mapping,
    identity,
    policy,
    provider,
    role,
    signing_keys,
    username,
)
from gatebook.domain.decisions import Case, Judge, Unknown, granted, personal
from gatebook.domain.event import Event


def _created(case: Case, event: account.AccountCreated) -> Sequence[Event]:
    command = account.Create(event.kind, event.profile)  # type: ignore[arg-type]  # only repeated
    return account.decide(command, case.own)


def _profile(
    case: Case, event: account.AccountRenamed | account.AccountProfileChanged
) -> Sequence[Event]:
    wanted: account.Profile = personal(event)
    if case.own.profile is None and case.own.status in ("active", "inactive", "deleted"):
        raise Unknown("It was decided from personal data that is erased.")
    return account.decide(account.ChangeProfile(wanted), case.own)


_STATUS: Final[dict[type[Event], Any]] = {
    account.AccountDeactivated: "inactive",
    account.AccountActivated: "active",
    account.AccountDeleted: "deleted",
    account.AccountRestored: "restored",
    account.AccountErased: "erased",
}


def _status(case: Case, event: Event) -> Sequence[Event]:
    wanted = _STATUS[type(event)]
    case.saw("wanted", wanted)
    case.saw("account_status", case.own.status)
    return account.decide(account.SetStatus(wanted), case.own)


def _tokens_revoked(case: Case, _event: Event) -> Sequence[Event]:
    case.saw("account_epoch", case.own.epoch)
    return account.decide(account.RevokeTokens(), case.own)


def _granted(case: Case, event: account.RoleGranted) -> Sequence[Event]:
    """The role has to exist, in the generation that was granted."""
    defined: role.Role = case.of("role", role.stream_id(event.role))
    case.saw("role_generation", defined.generation)
    case.saw("source", event.source)
    if defined.permissions is None:
        return []
    command = account.GrantRole(
        event.role, event.expires_at, event.source, case.at, defined.generation
    )
    return account.decide(command, case.own)


def _revoked(case: Case, event: account.RoleRevoked) -> Sequence[Event]:
    return account.decide(account.RevokeRole(event.role), case.own)


def _roster(case: Case, event: administrators.Happening) -> Sequence[Event]:
    """The account's own events of the same append come before."""
    roster: administrators.Roster = case.own
    case.saw("administrators", len(roster.members))
    return administrators.decide(event.account_id, case.account(event.account_id), roster)


def _seat(case: Case, event: first_admin.Happening) -> Sequence[Event]:
    ways: dict[type[Event], first_admin.Way] = {
        first_admin.TokenFirstAdmin: "token",
        first_admin.LocalFirstAdmin: "local",
        first_admin.OidcFirstAdmin: "oidc",
    }
    return first_admin.take(event.account_id, ways[type(event)], case.own)


def _claimed(case: Case, event: username.UsernameClaimed) -> Sequence[Event]:
    case.saw("owner", case.own.owner)
    return username.claim(event.account_id, case.own)


def _released(case: Case, event: username.UsernameReleased) -> Sequence[Event]:
    case.saw("owner", case.own.owner)
    return username.release(event.account_id, case.own)


def _defined(case: Case, event: role.RoleDefined) -> Sequence[Event]:
    case.saw("generation", case.own.generation)
    return role.define(
        event.name,
        frozenset(event.permissions),
        event.description,
        case.own,
        built_in=event.built_in,
    )


def _deleted(case: Case, event: role.RoleDeleted) -> Sequence[Event]:
    return role.delete(event.name, case.own)


def _adopted(case: Case, event: policy.PolicyAdopted) -> Sequence[Event]:
    return policy.decide(event.policy, case.own)


def _key_created(_case: Case, event: signing_keys.KeyCreated) -> Sequence[Event]:
    return signing_keys.create(event.kid, event.algorithm, event.public_jwk)


def _key_activated(case: Case, event: signing_keys.KeyActivated) -> Sequence[Event]:
    return signing_keys.activate(event.kid, event.signs_from, case.own)


def _key_retired(case: Case, event: signing_keys.KeyRetired) -> Sequence[Event]:
    return signing_keys.retire(event.kid, case.at, case.own)


def _provider_created(case: Case, event: provider.ProviderCreated) -> Sequence[Event]:
    return provider.create(event.configuration, personal(event).client_secret, case.own)


def _provider_changed(case: Case, event: provider.ProviderChanged) -> Sequence[Event]:
    return provider.change(event.configuration, personal(event).client_secret, case.own)


def _provider_removed(case: Case, _event: Event) -> Sequence[Event]:
    """Whatever depended on it was asked then, of the read models."""
    return provider.remove(0, 0, case.own)


def _mapped(case: Case, event: group_mapping.GroupMappingAdded) -> Sequence[Event]:
    return group_mapping.add(event.provider_id, event.group, event.role, case.own)


def _unmapped(case: Case, _event: Event) -> Sequence[Event]:
    return group_mapping.remove(case.own)


def _linked(case: Case, event: identity.IdentityLinked) -> Sequence[Event]:
    subject: Any = event.subject  # once erased it is None, and is repeated as that
    return identity.link(event.account_id, event.provider_id, subject, case.own)


def _groups(case: Case, event: identity.IdentityGroupsChanged) -> Sequence[Event]:
    return identity.present(personal(event), case.own)


def _unlinked(case: Case, _event: Event) -> Sequence[Event]:
    return identity.unlink(case.own)


def _configured(case: Case, event: client.ClientConfigured) -> Sequence[Event]:
    wanted = client.evolve(client.Client(), event)
    return client.configure(event.account_id, wanted, case.own)


def _client_removed(case: Case, event: client.ClientRemoved) -> Sequence[Event]:
    return client.remove(event.account_id, case.own)


def _denied(case: Case, event: denials.AccessDenied) -> Sequence[Event]:
    """What he showed may have been narrower than he: that is not in the log."""
    lasting = event.permission in granted(case, event.account_id, lasting=True)
    case.saw("held_without_an_end", lasting)
    if lasting:
        raise Unknown(
            "The account held the permission; what it showed was narrowed, which is not recorded."
        )
    case.saw("held", event.permission in granted(case, event.account_id))
    return [msgspec.structs.replace(event)]


JUDGES: Final[dict[type[Event], Judge]] = {
    account.AccountCreated: _created,
    account.AccountRenamed: _profile,
    account.AccountProfileChanged: _profile,
    **dict.fromkeys(_STATUS, _status),
    account.AccountTokensRevoked: _tokens_revoked,
    account.RoleGranted: _granted,
    account.RoleRevoked: _revoked,
    administrators.AdministratorAdded: _roster,
    administrators.AdministratorRemoved: _roster,
    first_admin.TokenFirstAdmin: _seat,
    first_admin.LocalFirstAdmin: _seat,
    first_admin.OidcFirstAdmin: _seat,
    username.UsernameClaimed: _claimed,
    username.UsernameReleased: _released,
    role.RoleDefined: _defined,
    role.RoleDeleted: _deleted,
    policy.PolicyAdopted: _adopted,
    signing_keys.KeyCreated: _key_created,
    signing_keys.KeyActivated: _key_activated,
    signing_keys.KeyRetired: _key_retired,
    provider.ProviderCreated: _provider_created,
    provider.ProviderChanged: _provider_changed,
    provider.ProviderRemoved: _provider_removed,
    group_mapping.GroupMappingAdded: _mapped,
    group_mapping.GroupMappingRemoved: _unmapped,
    identity.IdentityLinked: _linked,
    identity.IdentityGroupsChanged: _groups,
    identity.IdentityUnlinked: _unlinked,
    client.ClientConfigured: _configured,
    client.ClientRemoved: _client_removed,
    denials.AccessDenied: _denied,
}
"""How each of these events was decided."""
