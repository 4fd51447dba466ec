"""Federation in the read model that decides access: asked after events, on both stores."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from gatebook.domain import account, group_mapping, identity, provider, session, token
from gatebook.projections.federation import (
    FEDERATED_SESSIONS,
    IDENTITIES,
    MAPPINGS,
    PROVIDERS,
    FederationView,
    KnownIdentity,
    KnownMapping,
    KnownProvider,
)
from tests.projections.house import MINUTE, NOON, House

ALICE, BOB = UUID(int=1), UUID(int=2)
OURS, THEIRS = UUID(int=11), UUID(int=12)
LINK, OTHER_LINK = UUID(int=21), UUID(int=22)
MAPPING, OTHER_MAPPING = UUID(int=31), UUID(int=32)
HERE, THERE = UUID(int=41), UUID(int=42)
SUBJECT, SID = b"\x01" * 16, b"\x02" * 16
CONFIGURED = provider.Configuration(name="Ours", issuer="https://a.example", client_id="c")


def created(name: str = "Ours", *, enabled: bool = True) -> provider.ProviderCreated:
    """A provider's first event."""
    configured = replace(CONFIGURED, name=name, enabled=enabled)
    return provider.ProviderCreated(configuration=configured, secret=None)


def linked(account_id: UUID, provider_id: UUID = OURS) -> identity.IdentityLinked:
    """A link, without whose it is at the provider."""
    return identity.IdentityLinked(account_id=account_id, provider_id=provider_id, subject=None)


def federated(
    subject_hash: bytes = SUBJECT, sid_hash: bytes = SID, expires_at: int = NOON + MINUTE
) -> session.SessionFederated:
    """A session that a provider vouches for."""
    return session.SessionFederated(
        account_id=ALICE,
        provider_id=OURS,
        subject_hash=subject_hash,
        sid_hash=sid_hash,
        expires_at=expires_at,
    )


@pytest.fixture
def view(house: House) -> FederationView:
    """The questions."""
    return FederationView(house.log)


def test_providers_by_name(house: House, view: FederationView) -> None:
    """Known from its creation on, changed as it is changed, gone once it is removed."""
    house.append(OURS, created("Beta"))
    house.append(THEIRS, created("Alpha", enabled=False))
    alpha = KnownProvider(THEIRS, "Alpha", False, NOON, NOON)
    beta = KnownProvider(OURS, "Beta", True, NOON, NOON)
    assert view.providers() == [alpha, beta]

    changed = provider.ProviderChanged(configuration=created("Aleph").configuration, secret=None)
    house.append(OURS, changed, at=NOON + MINUTE)
    assert view.providers() == [KnownProvider(OURS, "Aleph", True, NOON, NOON + MINUTE), alpha]
    house.append(OURS, provider.ProviderRemoved())
    assert view.provider_ids() == [THEIRS]
    assert len(house.rows(PROVIDERS)) == 1


def test_mappings_of_a_provider(house: House, view: FederationView) -> None:
    """All, those of one provider, and none that was removed."""
    for mapping_id, provider_id in ((MAPPING, OURS), (OTHER_MAPPING, THEIRS)):
        added = group_mapping.GroupMappingAdded(
            provider_id=provider_id, group="staff", role="viewer"
        )
        house.append(mapping_id, added)
    ours = KnownMapping(MAPPING, OURS, "staff", "viewer", NOON)
    assert view.mappings(OURS) == [ours]
    assert [one.mapping_id for one in view.mappings()] == [MAPPING, OTHER_MAPPING]
    house.append(MAPPING, group_mapping.GroupMappingRemoved(provider_id=OURS))
    assert view.mappings(OURS) == []
    assert len(house.rows(MAPPINGS)) == 1


def test_links_are_counted(house: House, view: FederationView) -> None:
    """Each account's own, each provider's number; unlinked and erased ones are gone."""
    house.append(LINK, linked(ALICE))
    house.append(OTHER_LINK, linked(BOB))
    assert view.identities(ALICE) == [KnownIdentity(LINK, ALICE, OURS, NOON)]
    assert (view.linked(OURS), view.linked(THEIRS)) == (2, 0)
    house.append(LINK, identity.IdentityUnlinked(account_id=ALICE, provider_id=OURS))
    assert (view.identities(ALICE), view.linked(OURS)) == ([], 1)
    house.append(LINK, linked(BOB, THEIRS))
    assert [one.provider_id for one in view.identities(BOB)] == [THEIRS, OURS]
    house.append(BOB, account.AccountCreated(kind="human", profile=None), account.AccountErased())
    assert (view.identities(BOB), house.rows(IDENTITIES)) == ([], [])


def test_a_deleted_account_stays_linked(house: House, view: FederationView) -> None:
    """It may be restored, so its provider is not to be removed under it."""
    house.append(ALICE, account.AccountCreated(kind="human", profile=None))
    house.append(LINK, linked(ALICE))
    house.append(ALICE, account.AccountDeleted())
    assert view.linked(OURS) == 1


def test_sessions_by_subject_and_by_sid(house: House, view: FederationView) -> None:
    """Found by either keyed hash until they end."""
    house.append(HERE, federated())
    house.append(THERE, federated(sid_hash=b"\x03" * 16))
    assert view.sessions_of_subject(SUBJECT) == [HERE, THERE]
    assert view.sessions_of_sid(SID) == [HERE]
    assert view.sessions_of_sid(SUBJECT) == []
    assert (view.provider_of(HERE), view.provider_of(LINK)) == (OURS, None)
    house.append(HERE, session.SessionEnded(account_id=ALICE, cause="provider-logout"))
    assert view.sessions_of_subject(SUBJECT) == [THERE]
    assert (view.sessions_of_sid(SID), view.provider_of(HERE)) == ([], None)


def test_sessions_that_are_over_are_pruned(house: House, view: FederationView) -> None:
    """What has expired before the instant of the pruning is no row any more."""
    house.append(HERE, federated(expires_at=NOON - 1))
    house.append(THERE, federated(expires_at=NOON))
    house.append(UUID(int=99), token.TokensPruned(before=NOON))
    assert view.sessions_of_subject(SUBJECT) == [THERE]
    assert len(house.rows(FEDERATED_SESSIONS)) == 1


def test_other_events_change_nothing(house: House, view: FederationView) -> None:
    """An account that comes is no provider."""
    house.append(OURS, created())
    before = house.rows(PROVIDERS)
    house.append(ALICE, account.AccountCreated(kind="human", profile=None))
    assert house.rows(PROVIDERS) == before
    assert view.provider_ids() == [OURS]
