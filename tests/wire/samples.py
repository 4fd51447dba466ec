"""One entry of every topic, as it would be stored. Never edited: a new topic adds a line."""

from __future__ import annotations

import hashlib
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
from gatebook.domain.envelope import Actor, Entry, Metadata
from gatebook.domain.event import Event
from gatebook.store.master_key import KeyringDamaged

ALICE = UUID("a11ce000-0000-4000-8000-000000000001")
SESSION = UUID("01920000-0000-7000-8000-000000000003")
JTI = UUID("01920000-0000-7000-8000-000000000004")
STREAM = UUID("57e00000-0000-8000-8000-000000000005")
AT = 1_800_000_000_123_456

PROFILE = account.Profile("alice", "Alice Ångström", "alice@example.org")
TOKENS = session.Tokens(JTI, "kid-1", AT + 900_000_000, AT + 2_592_000_000_000)
POLICY = policy.Policy(
    policy.Lockout(5, 900_000_000, 3_600_000_000),
    900_000_000,
    2_592_000_000_000,
    31_536_000_000_000,
    60_000_000,
    3_600_000_000,
    28_800_000_000,
    12,
    256,
)

EVENTS: tuple[Event, ...] = (
    account.AccountCreated(kind="human", profile=PROFILE),
    account.AccountRenamed(profile=PROFILE),
    account.AccountProfileChanged(profile=PROFILE),
    account.AccountDeactivated(),
    account.AccountActivated(),
    account.AccountDeleted(),
    account.AccountRestored(status="inactive"),
    account.AccountErased(),
    account.AccountTokensRevoked(),
    account.RoleGranted(role="admin", generation=1, expires_at=AT, source="hand"),
    account.RoleRevoked(role="admin"),
    administrators.AdministratorAdded(account_id=ALICE),
    administrators.AdministratorRemoved(account_id=ALICE),
    attempts.LoginFailed(
        account_id=ALICE,
        method="password",
        cause="wrong-password",
        matched=False,
        failures=5,
        failed_at=AT,
        locked_until=AT + 900_000_000,
        policy=1,
        name_hash=b"\x01" * 16,
    ),
    attempts.LoginRefusedWhileLocked(
        account_id=ALICE, method="password", count=7, first_at=AT, last_at=AT + 1
    ),
    attempts.LockoutCleared(account_id=ALICE, method="password", cause="success"),
    denials.AccessDenied(
        account_id=ALICE, permission="keys.write", action="role.grant", target=str(ALICE)
    ),
    deployment.DeploymentInitialised(release="0.1.0"),
    deployment.ConsoleUsed(command="account list"),
    deployment.ProjectionEventSkipped(projection="audit", position=42),
    first_admin.TokenFirstAdmin(account_id=ALICE),
    first_admin.LocalFirstAdmin(account_id=ALICE),
    first_admin.OidcFirstAdmin(account_id=ALICE),
    idempotency.CommandDone(
        day="20833",
        shown=ALICE,
        request_hash=b"\x02" * 32,
        expires_at=AT,
        answer=idempotency.Answer(b"{}"),
    ),
    password.PasswordSet(
        account_id=ALICE, secret=password.PasswordSecret("$argon2id$..."), origin="created"
    ),
    password.PasswordRehashed(account_id=ALICE, secret=password.PasswordSecret("$argon2id$...")),
    policy.PolicyAdopted(policy=POLICY),
    role.RoleDefined(
        name="ops",
        generation=2,
        permissions=("accounts.read", "audit.read"),
        description="d",
        built_in=False,
    ),
    role.RoleDeleted(name="ops"),
    session.LoginSucceeded(account_id=ALICE, amr=("pwd",), failures_before=2, policy=1),
    session.SessionOpened(
        account_id=ALICE, epoch=3, amr=("pwd",), auth_time=AT, expires_at=None, tokens=TOKENS
    ),
    session.SessionRotated(account_id=ALICE, tokens=TOKENS),
    session.SessionKept(account_id=ALICE, epoch=4),
    session.TokenReuseDetected(account_id=ALICE),
    session.SessionEnded(account_id=ALICE, cause="logout"),
    signing_keys.KeyCreated(kid="kid-1", algorithm="ES256", public_jwk="{}"),
    signing_keys.KeyActivated(kid="kid-1", signs_from=AT),
    signing_keys.KeyRetired(kid="kid-1"),
    token.TokenIssued(
        account_id=ALICE, epoch=1, kid="kid-1", expires_at=AT, audience="api", scope="read"
    ),
    token.TokenRevoked(account_id=ALICE, session_id=SESSION),
    token.TokensPruned(before=AT),
    username.UsernameClaimed(account_id=ALICE),
    username.UsernameReleased(account_id=ALICE),
)

ENTRIES = {
    event.TOPIC: Entry(ALICE if event.STREAM == "account" else STREAM, 7, event) for event in EVENTS
}

METADATA = {
    "account": Metadata(
        actor=Actor("account", str(ALICE)),
        at=AT,
        request_id=str(JTI),
        causation=41,
        source_subject=ALICE,
        source=b"sealed",
    ),
    "local": Metadata(actor=Actor("local", "root"), at=AT),
    "anonymous": Metadata(actor=Actor("anonymous"), at=AT, request_id="req-1", source=b"sealed"),
}


class FixedKeys:
    """Seals with keys made from their names and a nonce of zeros: bytes that never change."""

    def __init__(self) -> None:
        self.destroyed: set[str] = set()

    def seal(self, name: str, plaintext: bytes, associated: bytes) -> bytes:
        """Nonce and ciphertext."""
        return bytes(12) + self._cipher(name).encrypt(bytes(12), plaintext, associated)

    def open(self, name: str, sealed: bytes, associated: bytes) -> bytes | None:
        """The plaintext, unless the key is destroyed."""
        if name in self.destroyed:
            return None
        try:
            return self._cipher(name).decrypt(sealed[:12], sealed[12:], associated)
        except InvalidTag as error:
            raise KeyringDamaged("altered or moved") from error

    def create_named(self, name: str) -> None:
        """Every key exists."""

    def _cipher(self, name: str) -> AESGCM:
        return AESGCM(hashlib.sha256(name.encode()).digest())
