"""What every type of event is for a SIEM: its class and activity in OCSF, its severity in CEF.

A closed table: a type that is not in it cannot be exported, and a test holds it against the
catalogue of events.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Outcome = Literal["", "success", "failure"]


class OcsfClass(msgspec.Struct, frozen=True):
    """A class of OCSF and the numbers of its activities that are used here."""

    name: str
    category: str
    uid: int
    activities: dict[int, str]

    @property
    def category_uid(self) -> int:
        return self.uid // 1000


_IAM: Final = "Identity & Access Management"
_APPLICATION: Final = "Application Activity"

AUTHENTICATION: Final = OcsfClass(
    "Authentication", _IAM, 3002,
    {1: "Logon", 2: "Logoff", 3: "Authentication Ticket", 4: "Service Ticket Request",
     5: "Service Ticket Renew", 6: "Preauth", 99: "Other"},
)  # fmt: skip
ACCOUNT: Final = OcsfClass(
    "Account Change", _IAM, 3001,
    {1: "Create", 2: "Enable", 3: "Password Change", 4: "Password Reset", 5: "Disable",
     6: "Delete", 7: "Attach Policy", 8: "Detach Policy", 9: "Lock", 10: "MFA Factor Enable",
     11: "MFA Factor Disable", 12: "Unlock", 99: "Other"},
)  # fmt: skip
ENTITY: Final = OcsfClass(
    "Entity Management", _IAM, 3004,
    {1: "Create", 3: "Update", 4: "Delete", 10: "Activate", 11: "Deactivate", 99: "Other"},
)  # fmt: skip
API: Final = OcsfClass("API Activity", _APPLICATION, 6003, {99: "Other"})
LIFECYCLE: Final = OcsfClass(
    "Application Lifecycle", _APPLICATION, 6002, {1: "Install", 8: "Update", 99: "Other"}
)
EVENT_LOG: Final = OcsfClass(
    "Event Log Activity", "System Activity", 1008, {3: "Export", 4: "Archive", 99: "Other"}
)
BASE: Final = OcsfClass("Base Event", "Uncategorized", 0, {99: "Other"})


class Kind(msgspec.Struct, frozen=True):
    """One type of event. `severity` is CEF's, from 0 to 10."""

    ocsf: OcsfClass
    activity: int
    severity: int
    outcome: Outcome = ""


def _kind(given: tuple[OcsfClass, int, int] | tuple[OcsfClass, int, int, Outcome]) -> Kind:
    return Kind(*given)


_TABLE: Final[dict[str, tuple[OcsfClass, int, int] | tuple[OcsfClass, int, int, Outcome]]] = {
    "account.created": (ACCOUNT, 1, 3),
    "account.renamed": (ACCOUNT, 99, 3),
    "account.profile_changed": (ACCOUNT, 99, 2),
    "account.deactivated": (ACCOUNT, 5, 4),
    "account.activated": (ACCOUNT, 2, 4),
    "account.deleted": (ACCOUNT, 6, 4),
    "account.restored": (ACCOUNT, 2, 4),
    "account.erased": (ACCOUNT, 6, 5),
    "account.tokens_revoked": (AUTHENTICATION, 2, 3, "success"),
    "role.granted": (ACCOUNT, 7, 4),
    "role.revoked": (ACCOUNT, 8, 4),
    "administrator.added": (ACCOUNT, 7, 6),
    "administrator.removed": (ACCOUNT, 8, 6),
    "api_key.created": (ACCOUNT, 99, 4),
    "api_key.rotated": (ACCOUNT, 99, 3),
    "api_key.revoked": (ACCOUNT, 99, 3),
    "login.failed": (AUTHENTICATION, 1, 5, "failure"),
    "login.refused_while_locked": (AUTHENTICATION, 1, 6, "failure"),
    "login.succeeded": (AUTHENTICATION, 1, 2, "success"),
    "lockout.cleared": (ACCOUNT, 12, 3),
    "mfa.challenged": (AUTHENTICATION, 6, 1, "success"),
    "mfa.completed": (AUTHENTICATION, 6, 2, "success"),
    "breakglass.credential_set": (ACCOUNT, 99, 7),
    "breakglass.credential_removed": (ACCOUNT, 99, 5),
    "breakglass.credential_expired": (ACCOUNT, 99, 4),
    "breakglass.login_succeeded": (AUTHENTICATION, 1, 9, "success"),
    "breakglass.login_failed": (AUTHENTICATION, 1, 8, "failure"),
    "checkpoint_key.created": (ENTITY, 1, 3),
    "checkpoint.conflicted": (EVENT_LOG, 99, 10, "failure"),
    "checkpoint.abandoned": (EVENT_LOG, 99, 8),
    "client.configured": (ENTITY, 3, 4),
    "client.removed": (ENTITY, 4, 4),
    "master_key.rotation_started": (ENTITY, 3, 5),
    "master_key.rotated": (ENTITY, 3, 5),
    "master_key.escrowed": (ENTITY, 99, 7),
    "master_key.recovered": (ENTITY, 99, 9),
    "store.backed_up": (EVENT_LOG, 4, 3),
    "store.restored": (EVENT_LOG, 99, 8),
    "store.copied": (EVENT_LOG, 4, 5),
    "store.schema_forced": (LIFECYCLE, 99, 7),
    "access.denied": (API, 99, 6, "failure"),
    "deployment.initialised": (LIFECYCLE, 1, 3),
    "console.used": (LIFECYCLE, 99, 3),
    "projection.event_skipped": (LIFECYCLE, 99, 7),
    "projection.drifted": (LIFECYCLE, 99, 8),
    "configuration.reloaded": (LIFECYCLE, 8, 4, "success"),
    "configuration.reload_refused": (LIFECYCLE, 8, 4, "failure"),
    "certificate.loaded": (LIFECYCLE, 8, 3),
    "factors.changed": (ACCOUNT, 99, 3),
    "federated_login.failed": (AUTHENTICATION, 1, 5, "failure"),
    "federated_login.completed": (AUTHENTICATION, 6, 2, "success"),
    "provider.logout_received": (AUTHENTICATION, 2, 2, "success"),
    "bootstrap.token_first_admin": (ACCOUNT, 7, 8),
    "bootstrap.local_first_admin": (ACCOUNT, 7, 8),
    "bootstrap.oidc_first_admin": (ACCOUNT, 7, 8),
    "group_mapping.added": (ENTITY, 1, 5),
    "group_mapping.removed": (ENTITY, 4, 5),
    "command.done": (API, 99, 0),
    "identity.linked": (ACCOUNT, 99, 4),
    "identity.unlinked": (ACCOUNT, 99, 4),
    "identity.groups_changed": (ACCOUNT, 99, 3),
    "passkey.registered": (ACCOUNT, 10, 4),
    "passkey.removed": (ACCOUNT, 11, 4),
    "passkey.used": (AUTHENTICATION, 6, 1, "success"),
    "passkey.backup_changed": (ACCOUNT, 99, 2),
    "passkey.clone_suspected": (AUTHENTICATION, 1, 9, "failure"),
    "passkey.challenge_spent": (AUTHENTICATION, 6, 0),
    "password.set": (ACCOUNT, 4, 4),
    "password.rehashed": (ACCOUNT, 99, 0),
    "password.removed": (ACCOUNT, 99, 4),
    "policy.adopted": (ENTITY, 3, 5),
    "provider.created": (ENTITY, 1, 6),
    "provider.changed": (ENTITY, 3, 6),
    "provider.removed": (ENTITY, 4, 6),
    "audit.read": (EVENT_LOG, 99, 2),
    "audit.exported": (EVENT_LOG, 3, 4),
    "recovery_codes.generated": (ACCOUNT, 10, 4),
    "recovery_code.used": (AUTHENTICATION, 6, 3, "success"),
    "recovery_codes.removed": (ACCOUNT, 11, 4),
    "role.defined": (ENTITY, 3, 5),
    "role.deleted": (ENTITY, 4, 5),
    "session.opened": (AUTHENTICATION, 3, 2, "success"),
    "session.federated": (AUTHENTICATION, 99, 1, "success"),
    "session.raised": (AUTHENTICATION, 99, 2, "success"),
    "session.rotated": (AUTHENTICATION, 5, 0, "success"),
    "session.kept": (AUTHENTICATION, 99, 1),
    "session.ended": (AUTHENTICATION, 2, 2, "success"),
    "key.created": (ENTITY, 1, 4),
    "key.activated": (ENTITY, 10, 4),
    "key.retired": (ENTITY, 11, 4),
    "token.reuse_detected": (AUTHENTICATION, 5, 8, "failure"),
    "token.issued": (AUTHENTICATION, 4, 2, "success"),
    "token.revoked": (AUTHENTICATION, 2, 3, "success"),
    "token.pruned": (LIFECYCLE, 99, 0),
    "totp.offered": (ACCOUNT, 99, 2),
    "totp.confirmed": (ACCOUNT, 10, 4),
    "totp.removed": (ACCOUNT, 11, 4),
    "totp.used": (AUTHENTICATION, 6, 1, "success"),
    "username.claimed": (ACCOUNT, 99, 1),
    "username.released": (ACCOUNT, 99, 1),
}

KINDS: Final = {name: _kind(given) for name, given in _TABLE.items()}


def title_of(kind: str) -> str:
    """A type in words: `login.failed` is "Login failed"."""
    return kind.replace(".", " ").replace("_", " ").capitalize()
