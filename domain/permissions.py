"""The permission catalogue and the built-in roles. Closed lists: nothing else can be granted."""

from __future__ import annotations

from typing import Final

CATALOGUE: Final[dict[str, str]] = {
    "accounts.read": "See accounts and their profiles.",
    "accounts.write": "Create, change, disable, delete and restore accounts.",
    "accounts.erase": "Destroy an account's personal data for good.",
    "audit.read": "Read the audit log.",
    "auth.breakglass.admin": "Set, unlock and remove break-glass credentials.",
    "auth.breakglass.login": "Sign in with a break-glass credential.",
    "credentials.read": "See which credentials and sessions an account has, never their secrets.",
    "credentials.write": "Set passwords, unlock accounts, end sessions, issue API keys.",
    "keys.read": "See the signing keys.",
    "keys.write": "Create, rotate and retire signing keys.",
    "metrics.read": "Read the metrics.",
    "oidc.read": "See identity providers and group mappings.",
    "oidc.write": "Change identity providers and group mappings.",
    "roles.grant": "Grant and revoke roles.",
    "roles.read": "See roles and who holds them.",
    "roles.write": "Define and delete custom roles.",
    "tokens.issue": "Issue tokens for system accounts.",
    "tokens.read": "See an account's tokens.",
    "tokens.revoke": "Revoke tokens.",
}

ALL: Final = frozenset(CATALOGUE)

ADMIN: Final = "admin"

_READ = frozenset(name for name in CATALOGUE if name.endswith(".read"))

BUILT_IN: Final[dict[str, tuple[frozenset[str], str]]] = {
    ADMIN: (ALL, "Everything."),
    "operator": (
        frozenset(
            {
                "accounts.read",
                "accounts.write",
                "credentials.read",
                "credentials.write",
                "roles.read",
                "tokens.issue",
                "tokens.read",
                "tokens.revoke",
            }
        ),
        "Accounts, credentials and tokens.",
    ),
    "auditor": (_READ, "Reads everything, changes nothing."),
    "viewer": (frozenset({"accounts.read", "roles.read"}), "Sees accounts and roles."),
}
