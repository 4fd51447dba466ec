"""API keys in the read model that decides access: asked after events, on both stores."""

from __future__ import annotations

from uuid import UUID

import pytest

from gatebook.domain import account, api_key, role, token
from gatebook.projections.access_view import AccessView
from gatebook.projections.api_keys import API_KEYS
from tests.projections.house import MINUTE, NOON, House

ALICE, KEY, NEXT = UUID(int=1), UUID(int=21), UUID(int=22)
DIGEST = b"\x07" * 32
PROFILE = account.Profile("alice", "Alice", "alice@example.test")


def created(scope: str = "", expires_at: int | None = None) -> api_key.ApiKeyCreated:
    material = api_key.ApiKeyMaterial(DIGEST, "ci")
    return api_key.ApiKeyCreated(
        account_id=ALICE, secret=material, scope=scope, expires_at=expires_at
    )


@pytest.fixture
def view(house: House) -> AccessView:
    """Alice exists and may see accounts and roles."""
    permissions = ("accounts.read", "roles.read")
    defined = role.RoleDefined(name="viewer", generation=1, permissions=permissions)
    house.append(role.stream_id("viewer"), defined)
    granted = account.RoleGranted(role="viewer", generation=1)
    house.append(ALICE, account.AccountCreated(kind="human", profile=PROFILE), granted)
    return AccessView(house.log)


def test_a_key_says_who_and_what(house: House, view: AccessView) -> None:
    """Its caller is its account, without proof of a person, narrowed to its scope."""
    house.append(KEY, created("accounts.read audit.read", NOON + MINUTE))

    found = view.caller("api-key", KEY, NOON)

    assert found is not None
    assert (found.kind, found.account_id, found.session_id) == ("api-key", ALICE, None)
    assert (found.amr, found.acr, found.auth_time, found.jkt) == ([], "", None, "")
    assert (found.permissions, found.expires_at) == ({"accounts.read"}, NOON + MINUTE)
    assert view.api_key_digest(KEY) == DIGEST
    assert view.api_key_digest(NEXT) is None
    assert view.caller("api-key", KEY, NOON + MINUTE) is None
    assert view.caller("token", KEY, NOON) is None


def test_it_follows_the_status_and_not_the_epoch(house: House, view: AccessView) -> None:
    """The end of all sessions leaves it, switching off ends it, switching on brings it back."""
    house.append(KEY, created())
    house.append(ALICE, account.AccountTokensRevoked())
    assert view.caller("api-key", KEY, NOON) is not None
    house.append(ALICE, account.AccountDeactivated())
    assert view.caller("api-key", KEY, NOON) is None
    house.append(ALICE, account.AccountActivated())
    assert view.caller("api-key", KEY, NOON) is not None


def test_rotation_and_revocation(house: House, view: AccessView) -> None:
    """A key that is followed ends at its instant, a revoked one is gone."""
    house.append(KEY, created())
    house.append(KEY, api_key.ApiKeyRotated(account_id=ALICE, successor=NEXT, expires_at=NOON + 1))
    (listed,) = view.api_keys_of(ALICE, NOON)
    assert (listed.name, listed.successor, listed.expires_at) == ("ci", NEXT, NOON + 1)
    assert (view.live_api_keys(ALICE, NOON), view.live_api_keys(ALICE, NOON + 1)) == (1, 0)
    house.append(NEXT, created())
    house.append(NEXT, api_key.ApiKeyRevoked(account_id=ALICE))
    assert view.caller("api-key", NEXT, NOON) is None


def test_erasure_and_pruning(house: House, view: AccessView) -> None:
    """An erased account's keys are gone, and so are those that ended long ago."""
    house.append(KEY, created(expires_at=NOON + 1))
    house.append(NEXT, created())
    assert view.expired(NOON + 2)
    house.append(token.PRUNING_STREAM_ID, token.TokensPruned(before=NOON + 2))
    assert [row[0] for row in house.rows(API_KEYS)] == [NEXT.bytes]
    house.append(ALICE, account.AccountErased())
    assert house.rows(API_KEYS) == []
