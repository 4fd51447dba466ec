"""Accounts, roles, passwords, sessions and tokens as plain objects: what the API should say.

Written from CONTRACT.md, not from the domain: it has no events, no versions to race for, no store.
Each command returns what the answer must be: a status, and the problem's slug if it is one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gatebook.domain.permissions import ALL, BUILT_IN, CATALOGUE

THRESHOLD = 5
WEAK = "password1234"

Expected = tuple[int, str]


class Account(msgspec.Struct, eq=False):
    """As the API should show it. `names` are the types of its own stream's events."""

    id: str
    username: str
    kind: str
    display_name: str = ""
    email: str = ""
    status: str = "active"
    roles: set[str] = set()
    password: str | None = None
    failures: int = 0
    epoch: int = 0
    names: list[str] = []

    @property
    def gone(self) -> bool:
        return self.status in ("deleted", "erased")

    def happened(self, name: str, *, ends: bool = False) -> None:
        self.names.append(name)
        self.epoch += ends

    def shown(self) -> dict[str, Any]:
        personal = {name: getattr(self, name) for name in ("username", "display_name", "email")}
        if self.status == "erased":
            personal = dict.fromkeys(personal)
        return {
            "id": self.id,
            "type": self.kind,
            "status": "deleted" if self.gone else self.status,
            "roles": sorted(self.roles),
            "version": len(self.names),
            **personal,
        }


class Holder(msgspec.Struct, eq=False):
    """Who has a token: by a session, which can be renewed, or by a token of a system account."""

    account: Account
    epoch: int
    access: str
    refresh: str = ""
    live: bool = True
    revoked: bool = False
    used: list[str] = []

    @property
    def is_session(self) -> bool:
        return bool(self.refresh)

    @property
    def stands(self) -> bool:
        """Whether the sign-in still counts, whatever became of its access token."""
        account = self.account
        return self.live and account.status == "active" and account.epoch == self.epoch

    @property
    def counts(self) -> bool:
        """Whether the access token does."""
        return self.stands and not self.revoked


class Model:
    """Everything there is, beside the server's first admin, who may do everything."""

    def __init__(self, root: Holder) -> None:
        self.root = root
        self.accounts: list[Account] = []
        self.holders: list[Holder] = []
        self.roles = {name: permissions for name, (permissions, _line) in BUILT_IN.items()}
        self.names: dict[str, Account] = {}

    # --- who may

    def permissions(self, account: Account) -> frozenset[str]:
        held = [self.roles[role] for role in account.roles if role in self.roles]
        return frozenset().union(*held)

    def gate(self, by: Holder, permission: str, target: Account | None = None) -> Expected | None:
        """What refuses the caller before his command is looked at."""
        if not by.counts:
            return 401, "unauthenticated"
        own = self.permissions(by.account)
        if permission not in own:
            return 403, "forbidden"
        if target is not None and target is not by.account and self.permissions(target) - own:
            return 403, "forbidden"
        return None

    # --- accounts

    def create(self, by: Holder, name: str, password: str | None) -> Expected:
        refused = self.gate(by, "accounts.write")
        if refused:
            return refused
        if password == WEAK:
            return 400, "weak-password"
        return (409, "username-taken") if name.lower() in self.names else (201, "")

    def created(self, account: Account) -> None:
        account.happened("account.created")
        self.accounts.append(account)
        self.names[account.username.lower()] = account

    def change(self, by: Holder, target: Account, changes: dict[str, str]) -> Expected:
        refused = self.gate(by, "accounts.write", target)
        if refused:
            return refused
        to = changes.get("status")
        if to == "inactive" and by.account is target:
            return 409, "self-lockout"
        profile = {key: value for key, value in changes.items() if key != "status"}
        if target.gone and (to or profile):
            differs = any(getattr(target, key) != value for key, value in profile.items())
            if to or differs or target.status == "erased":
                return 409, "conflict"
        name = profile.get("username", target.username)
        if self.names.get(name.lower(), target) is not target:
            return 409, "username-taken"
        self._change(target, to, profile, name)
        return 200, ""

    def _change(self, target: Account, to: str | None, profile: dict[str, str], name: str) -> None:
        if to and to != target.status:
            target.status = to
            verb = "deactivated" if to == "inactive" else "activated"
            target.happened(f"account.{verb}", ends=to == "inactive")
        if name != target.username:
            target.happened("account.renamed")
            self.names.pop(target.username.lower())
            self.names[name.lower()] = target
            target.username = name
        rest = {key: value for key, value in profile.items() if key != "username"}
        if any(getattr(target, key) != value for key, value in rest.items()):
            target.happened("account.profile_changed")
        for key, value in rest.items():
            setattr(target, key, value)

    def delete(self, by: Holder, target: Account) -> Expected:
        refused = self.gate(by, "accounts.write", target)
        if refused:
            return refused
        if by.account is target:
            return 409, "self-lockout"
        if target.status == "erased":
            return 409, "conflict"
        if target.status != "deleted":
            target.status = "deleted"
            target.happened("account.deleted", ends=True)
        return 204, ""

    def restore(self, by: Holder, target: Account) -> Expected:
        refused = self.gate(by, "accounts.write", target)
        if refused:
            return refused
        if target.status != "deleted":
            return 409, "conflict"
        target.status = "active"
        target.happened("account.restored")
        return 200, ""

    def erase(self, by: Holder, target: Account, confirm: str) -> Expected:
        refused = self.gate(by, "accounts.erase", target)
        if refused:
            return refused
        if by.account is target:
            return 409, "self-lockout"
        if target.status != "erased":
            if confirm != target.username:
                return 400, "invalid-request"
            target.status, target.password = "erased", None
            target.happened("account.erased", ends=True)
        return 204, ""

    # --- roles

    def define(self, by: Holder, name: str, permissions: list[str]) -> Expected:
        refused = self.gate(by, "roles.write")
        if refused:
            return refused
        if name in BUILT_IN:
            return 409, "conflict"
        if set(permissions) - CATALOGUE.keys():
            return 400, "invalid-request"
        known = name in self.roles
        if (set(permissions) | self.roles.get(name, ALL - ALL)) - self.permissions(by.account):
            return 403, "forbidden"
        self.roles[name] = frozenset(permissions)
        return (200 if known else 201), ""

    def undefine(self, by: Holder, name: str) -> Expected:
        refused = self.gate(by, "roles.write")
        if refused:
            return refused
        if name not in self.roles:
            return 404, "not-found"
        if name in BUILT_IN:
            return 409, "conflict"
        if self.roles[name] - self.permissions(by.account):
            return 403, "forbidden"
        if any(name in account.roles and not account.gone for account in self.accounts):
            return 409, "conflict"
        del self.roles[name]
        return 204, ""

    def grant(self, by: Holder, target: Account, role: str) -> Expected:
        refused = self.gate(by, "roles.grant", target)
        if refused:
            return refused
        if role not in self.roles:
            return 400, "invalid-request"
        if self.roles[role] - self.permissions(by.account):
            return 403, "forbidden"
        if target.gone:
            return 409, "conflict"
        if role not in target.roles:
            target.roles.add(role)
            target.happened("role.granted")
        return 204, ""

    def revoke(self, by: Holder, target: Account, role: str) -> Expected:
        refused = self.gate(by, "roles.grant", target)
        if refused:
            return refused
        if role in target.roles:
            target.roles.remove(role)
            target.happened("role.revoked")
        return 204, ""

    # --- passwords

    def set_password(self, by: Holder, target: Account, password: str) -> Expected:
        refused = self.gate(by, "credentials.write", target)
        return refused or self._new_password(by, target, password)

    def change_password(self, by: Holder, current: str, new: str) -> Expected:
        if not by.counts:
            return 401, "unauthenticated"
        account = by.account
        if account.failures >= THRESHOLD:
            return 401, "invalid-credentials"
        if account.password != current:
            account.failures += 1
            return 401, "invalid-credentials"
        return self._new_password(by, account, new)

    def _new_password(self, by: Holder, target: Account, password: str) -> Expected:
        if target.gone:
            return 409, "conflict"
        if password == WEAK:
            return 400, "weak-password"
        target.password, target.failures = password, 0
        target.happened("account.tokens_revoked", ends=True)
        if by.account is target and by.is_session:
            by.epoch = target.epoch
        return 204, ""

    def unlock(self, by: Holder, target: Account) -> Expected:
        refused = self.gate(by, "credentials.write", target)
        if refused:
            return refused
        target.failures = 0
        return 204, ""

    # --- sessions and tokens

    def login(self, name: str, password: str) -> Expected:
        account = self.names.get(name.lower())
        if account is None or account.status == "erased" or account.failures >= THRESHOLD:
            return 401, "invalid-credentials"
        if account.status != "active" or account.password != password:
            account.failures += 1
            return 401, "invalid-credentials"
        account.failures = 0
        return 200, ""

    def renew(self, holder: Holder, token: str) -> Expected:
        if not holder.stands:
            return 401, "invalid-credentials"
        if token != holder.refresh:
            holder.live = False
            return 401, "invalid-credentials"
        return 200, ""

    def logout(self, by: Holder, *, everywhere: bool) -> Expected:
        if not by.counts:
            return 401, "unauthenticated"
        if everywhere or not by.is_session:
            by.account.happened("account.tokens_revoked", ends=True)
        else:
            by.live = False
        return 204, ""

    def issue(self, by: Holder, target: Account) -> Expected:
        refused = self.gate(by, "tokens.issue", target)
        if refused:
            return refused
        if target.kind != "system" or target.status != "active":
            return 409, "conflict"
        return 201, ""

    def revoke_token(self, by: Holder, holder: Holder) -> Expected:
        refused = self.gate(by, "tokens.revoke")
        if refused:
            return refused
        holder.revoked = True
        return 204, ""

    def revoke_all(self, by: Holder, target: Account, *, lives: bool) -> Expected:
        """Nothing is recorded when nothing of the account's lives."""
        refused = self.gate(by, "tokens.revoke")
        if refused:
            return refused
        if lives:
            target.happened("account.tokens_revoked", ends=True)
        return 204, ""

    # --- what is seen

    def in_force(self, account: Account) -> list[str]:
        """The roles that an account holds and that exist."""
        return sorted(role for role in account.roles if role in self.roles)
