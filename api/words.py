"""What happened to an account, in plain words."""

from __future__ import annotations

from typing import Final

from gatebook.api.decoding import instant
from gatebook.domain import (
    account,
    attempts,
    break_glass,
    denials,
    group_mapping,
    identity,
    password,
    readings,
    role,
    session,
    token,
)
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event

_SENTENCES: Final[dict[str, str]] = {
    "account.created": "The account was created.",
    "account.renamed": "The username was changed.",
    "account.profile_changed": "The display name or the e-mail address was changed.",
    "account.deactivated": "The account was switched off; its sessions and tokens ended.",
    "account.activated": "The account was switched on again.",
    "account.deleted": "The account was deleted; its sessions and tokens ended.",
    "account.restored": "The deletion was undone.",
    "account.erased": "The personal data was destroyed.",
    "account.tokens_revoked": "All sessions and tokens were ended.",
    "administrator.added": "The account became an administrator.",
    "administrator.removed": "The account is no longer an administrator.",
    "api_key.created": "An API key was made.",
    "api_key.rotated": "An API key was given a successor, and an end.",
    "api_key.revoked": "An API key was revoked.",
    "client.configured": "The account was configured as an OAuth 2 client.",
    "client.removed": "The OAuth 2 configuration was removed.",
    "bootstrap.token_first_admin": "The account became the first administrator, by token.",
    "bootstrap.local_first_admin": "The account became the first administrator, on the machine.",
    "bootstrap.oidc_first_admin": "The account became the first administrator, by federation.",
    "password.rehashed": "The password was stored anew under stronger parameters.",
    "breakglass.credential_set": "A break-glass password was set.",
    "breakglass.credential_removed": "The break-glass password was removed.",
    "breakglass.login_succeeded": "Signed in by break-glass.",
    "login.succeeded": "Signed in.",
    "session.opened": "A session began.",
    "session.raised": "A second factor was proved within a session.",
    "session.rotated": "A session was renewed.",
    "session.kept": "This session was kept when the others ended.",
    "factors.changed": "The second factors of the account changed.",
    "mfa.challenged": "The password was right; a second factor was asked for.",
    "mfa.completed": "The second factor was right.",
    "passkey.registered": "A passkey was added.",
    "passkey.removed": "A passkey was removed.",
    "passkey.used": "A passkey was used.",
    "passkey.backup_changed": "A passkey was backed up, or its backup was removed.",
    "passkey.clone_suspected": "A passkey was refused: it may have been copied.",
    "passkey.challenge_spent": "A passkey's challenge was answered.",
    "password.removed": "The password was removed.",
    "recovery_code.used": "A recovery code was used.",
    "recovery_codes.generated": "New recovery codes were made; the former ones are void.",
    "recovery_codes.removed": "The recovery codes were removed.",
    "totp.offered": "A secret for one-time codes was shown.",
    "totp.confirmed": "One-time codes were set up.",
    "totp.removed": "One-time codes were removed.",
    "totp.used": "A one-time code was used.",
    "token.reuse_detected": "A refresh token was shown a second time; its session ended.",
    "token.revoked": "A token was revoked.",
    "federated_login.completed": "A sign-in with an identity provider came back.",
    "federated_login.failed": "A sign-in with an identity provider was refused.",
    "identity.linked": "An identity at a provider was linked to the account.",
    "identity.groups_changed": "An identity provider named other groups than before.",
    "identity.unlinked": "An identity at a provider was unlinked.",
    "session.federated": "An identity provider vouched for this session.",
    "username.claimed": "The username was reserved.",
    "username.released": "A former username was given up.",
}

_PASSWORDS: Final = {
    "created": "The password was set when the account was created.",
    "reset": "The password was reset.",
    "changed": "The password was changed by its owner.",
}

_COUNTED: Final = {
    "password": "wrong passwords",
    "totp": "wrong one-time codes",
    "recovery-code": "wrong recovery codes",
    "passkey": "refused passkeys",
    "break-glass": "wrong break-glass passwords",
}

_ENDS: Final = {
    "logout": "A session was ended by signing out.",
    "revoked": "A session was ended.",
    "reuse": "A session was ended because its refresh token was used twice.",
    "rotations": "A session was ended because it had been renewed too often.",
    "idle": "A session in a browser ended because it was not used for too long.",
    "reissued": "A session in a browser went on under a new id.",
    "replaced": "A session in a browser was ended by a new sign-in there.",
    "provider-logout": "A session was ended by the identity provider.",
    "credential-changed": "A session was ended because what opened it was changed.",
}


_EXPIRIES: Final = {
    "first-use": "The break-glass password ended with its first use.",
    "time": "The break-glass password ended: its time was over.",
}


def sentence(recorded: Recorded) -> str:
    """One sentence about an event."""
    event = recorded.event
    return _sentence(event) or _SENTENCES.get(event.type) or f"{event.type} was recorded."


def _sentence(event: Event) -> str | None:
    match event:
        case account.AccountCreated(kind=kind):
            return f"The account was created as a {kind} account."
        case denials.AccessDenied(permission=permission):
            return f"The account reached beyond what it may do: it does not hold {permission}."
        case account.RoleGranted(role=name, expires_at=None):
            return f"The role {name} was granted."
        case account.RoleGranted(role=name, expires_at=int(until)):
            return f"The role {name} was granted until {_time(until)}."
        case role.RoleDefined(name=name, permissions=permissions):
            return f"The role {name} stands for {', '.join(permissions) or 'nothing'}."
        case role.RoleDeleted(name=name):
            return f"The role {name} was deleted."
        case group_mapping.GroupMappingAdded(group=group, role=name):
            return f"The group {group} stands for the role {name}."
        case group_mapping.GroupMappingRemoved():
            return "A group mapping was removed."
        case identity.IdentityGroupsChanged(groups=tuple(groups)):
            return f"The provider named these groups: {', '.join(groups) or 'none'}."
        case account.RoleRevoked(role=name):
            return f"The role {name} was revoked."
        case attempts.LoginFailed(locked_until=int(until), failures=failures):
            return f"A sign-in failed, the {_nth(failures)} in a row: locked until {_time(until)}."
        case attempts.LoginFailed(failures=failures):
            return f"A sign-in failed, the {_nth(failures)} in a row."
        case attempts.LockoutCleared(method=method):
            return f"The count of {_COUNTED.get(method, 'failed sign-ins')} began again."
        case attempts.BreakGlassLoginFailed(locked_until=int(until)):
            return f"A break-glass sign-in failed: locked until {_time(until)}."
        case attempts.BreakGlassLoginFailed():
            return "A break-glass sign-in failed."
        case break_glass.CredentialExpired(cause=cause):
            return _EXPIRIES.get(cause)
        case attempts.LoginRefusedWhileLocked(count=count):
            return f"{count} sign-ins were refused while locked."
        case password.PasswordSet(origin=origin):
            return _PASSWORDS.get(origin)
        case session.SessionEnded(cause=cause):
            return _ENDS.get(cause)
        case readings.AuditRead(count=1):
            return "Somebody read about the account in the log."
        case readings.AuditRead(count=count):
            return f"Somebody read about the account in the log {count} times."
        case token.TokenIssued(expires_at=until):
            return f"A token was issued until {_time(until)}."
        case _:
            return None


def _time(at: int) -> str:
    return instant(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def _nth(number: int) -> str:
    tail = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{tail or 'th'}"
