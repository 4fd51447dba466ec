"""Every topic that may stand in the log. A row can name nothing that is not in this table.

Topics are never renamed, reused or removed; a changed shape is a new topic and an upcaster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gatebook.domain import (
    account,
    administrators,
    api_key,
    attempts,
    break_glass,
    challenge,
    client,
    denials,
    deployment,
    factors,
    federation,
    first_admin,
    group_mapping,
    idempotency,
    identity,
    passkey,
    password,
    policy,
    provider,
    recovery_codes,
    role,
    session,
    signing_keys,
    token,
    totp,
    username,
)
from gatebook.domain.event import Event

EVENTS: Final[tuple[type[Event], ...]] = (
    account.AccountCreated,
    account.AccountRenamed,
    account.AccountProfileChanged,
    account.AccountDeactivated,
    account.AccountActivated,
    account.AccountDeleted,
    account.AccountRestored,
    account.AccountErased,
    account.AccountTokensRevoked,
    account.RoleGranted,
    account.RoleRevoked,
    administrators.AdministratorAdded,
    administrators.AdministratorRemoved,
    api_key.ApiKeyCreated,
    api_key.ApiKeyRotated,
    api_key.ApiKeyRevoked,
    attempts.LoginFailed,
    attempts.BreakGlassLoginFailed,
    attempts.LoginRefusedWhileLocked,
    attempts.LockoutCleared,
    challenge.MfaChallenged,
    challenge.MfaCompleted,
    break_glass.CredentialSet,
    break_glass.CredentialRemoved,
    break_glass.CredentialExpired,
    break_glass.LoginSucceeded,
    client.ClientConfigured,
    client.ClientRemoved,
    denials.AccessDenied,
    deployment.DeploymentInitialised,
    deployment.ConsoleUsed,
    deployment.ProjectionEventSkipped,
    factors.FactorsChanged,
    federation.FederatedLoginFailed,
    federation.FederatedLoginCompleted,
    federation.ProviderLogoutReceived,
    first_admin.TokenFirstAdmin,
    first_admin.LocalFirstAdmin,
    first_admin.OidcFirstAdmin,
    group_mapping.GroupMappingAdded,
    group_mapping.GroupMappingRemoved,
    idempotency.CommandDone,
    identity.IdentityLinked,
    identity.IdentityUnlinked,
    passkey.PasskeyRegistered,
    passkey.PasskeyRemoved,
    passkey.PasskeyUsed,
    passkey.PasskeyBackupChanged,
    passkey.PasskeyCloneSuspected,
    passkey.PasskeyChallengeSpent,
    password.PasswordSet,
    password.PasswordRehashed,
    password.PasswordRemoved,
    policy.PolicyAdopted,
    provider.ProviderCreated,
    provider.ProviderChanged,
    provider.ProviderRemoved,
    recovery_codes.RecoveryCodesGenerated,
    recovery_codes.RecoveryCodeUsed,
    recovery_codes.RecoveryCodesRemoved,
    role.RoleDefined,
    role.RoleDeleted,
    session.LoginSucceeded,
    session.SessionOpened,
    session.SessionFederated,
    session.SessionRaised,
    session.SessionRotated,
    session.SessionKept,
    session.TokenReuseDetected,
    session.SessionEnded,
    signing_keys.KeyCreated,
    signing_keys.KeyActivated,
    signing_keys.KeyRetired,
    token.TokenIssued,
    token.TokenRevoked,
    token.TokensPruned,
    totp.TotpOffered,
    totp.TotpConfirmed,
    totp.TotpRemoved,
    totp.TotpUsed,
    username.UsernameClaimed,
    username.UsernameReleased,
)

BY_TOPIC: Final[dict[str, type[Event]]] = {event.TOPIC: event for event in EVENTS}

CATEGORIES: Final = frozenset(event.CATEGORY for event in EVENTS)
TYPES: Final = frozenset(topic.rpartition(".")[0] for topic in BY_TOPIC)

Upcaster = Callable[[Event], Event]

UPCASTERS: Final[dict[type[Event], Upcaster]] = {}
"""From a retired shape to the next one. Its class stays in EVENTS for ever."""
