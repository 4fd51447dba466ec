"""Every topic that may stand in the log. A row can name nothing that is not in this table.

Topics are never renamed, reused or removed; a changed shape is a new topic and an upcaster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gatebook.domain import (
    account,
    administrators,
    attempts,
    denials,
    deployment,
    first_admin,
    idempotency,
    password,
    policy,
    role,
    session,
    signing_keys,
    token,
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
    attempts.LoginFailed,
    attempts.LoginRefusedWhileLocked,
    attempts.LockoutCleared,
    denials.AccessDenied,
    deployment.DeploymentInitialised,
    deployment.ConsoleUsed,
    deployment.ProjectionEventSkipped,
    first_admin.TokenFirstAdmin,
    first_admin.LocalFirstAdmin,
    first_admin.OidcFirstAdmin,
    idempotency.CommandDone,
    password.PasswordSet,
    password.PasswordRehashed,
    policy.PolicyAdopted,
    role.RoleDefined,
    role.RoleDeleted,
    session.LoginSucceeded,
    session.SessionOpened,
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
    username.UsernameClaimed,
    username.UsernameReleased,
)

BY_TOPIC: Final[dict[str, type[Event]]] = {event.TOPIC: event for event in EVENTS}

CATEGORIES: Final = frozenset(event.CATEGORY for event in EVENTS)
TYPES: Final = frozenset(topic.rpartition(".")[0] for topic in BY_TOPIC)

Upcaster = Callable[[Event], Event]

UPCASTERS: Final[dict[type[Event], Upcaster]] = {}
"""From a retired shape to the next one. Its class stays in EVENTS for ever."""
