"""One entry of every topic, as it would be stored. Never edited: a new topic adds a line."""

from __future__ import annotations

import hashlib
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatebook.domain import (
    account,
    administrators,
    api_key,
    attempts,
    break_glass,
    challenge,
    checkpoints,
    client,
    custody,
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
    readings,
    recovery_codes,
    role,
    session,
    signing_keys,
    token,
    totp,
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
TOKENS = session.Tokens(JTI, "kid-1", AT + 900_000_000)
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
    policy.Lockout(5, 900_000_000, 3_600_000_000),
    86_400_000_000,
    break_glass_once=True,
    mfa_required_for=("admin",),
)

PROVIDER = UUID("01920000-0000-7000-8000-000000000006")
CONFIGURATION = provider.Configuration(
    name="Example",
    issuer="https://id.provider.test",
    client_id="gatebook",
    client_auth="client_secret_post",
    scopes=("openid", "email"),
    groups_claim="realm_access.roles",
    fetch_userinfo=True,
    allowed_domains=("provider.test",),
    create_accounts=False,
    enabled=True,
    iat_window=120_000_000,
    at_hash_required=False,
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
    api_key.ApiKeyCreated(
        account_id=ALICE,
        secret=api_key.ApiKeyMaterial(b"\x03" * 32, "ci"),
        scope="accounts.read",
        expires_at=AT,
        replaces=JTI,
    ),
    api_key.ApiKeyRotated(account_id=ALICE, successor=JTI, expires_at=AT),
    api_key.ApiKeyRevoked(account_id=ALICE),
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
        scope="device",
    ),
    attempts.BreakGlassLoginFailed(
        account_id=ALICE,
        method="break-glass",
        cause="no-credential",
        matched=False,
        failures=1,
        failed_at=AT,
        locked_until=None,
        policy=1,
        scope="address",
    ),
    break_glass.CredentialSet(
        account_id=ALICE,
        secret=password.PasswordSecret("$argon2id$..."),
        expires_at=AT,
        once=False,
    ),
    break_glass.CredentialRemoved(account_id=ALICE),
    break_glass.CredentialExpired(account_id=ALICE, cause="first-use"),
    break_glass.LoginSucceeded(account_id=ALICE, failures_before=2, policy=1),
    attempts.LoginRefusedWhileLocked(
        account_id=ALICE, method="password", count=7, first_at=AT, last_at=AT + 1
    ),
    attempts.LockoutCleared(account_id=ALICE, method="password", cause="success"),
    challenge.MfaChallenged(
        account_id=ALICE,
        proofs=("password",),
        methods=("totp", "recovery_code"),
        epoch=3,
        password_version=2,
        failures_before=1,
        expires_at=AT + 300_000_000,
    ),
    challenge.MfaCompleted(account_id=ALICE, method="totp"),
    client.ClientConfigured(
        account_id=ALICE,
        jwks='{"keys":[]}',
        auth_methods=("private_key_jwt",),
        scopes=("read",),
        resources=("https://api.example",),
        dpop_bound=True,
    ),
    client.ClientRemoved(account_id=ALICE),
    denials.AccessDenied(
        account_id=ALICE, permission="keys.write", action="role.grant", target=str(ALICE)
    ),
    deployment.DeploymentInitialised(release="0.1.0"),
    deployment.ConsoleUsed(command="account list"),
    deployment.ProjectionEventSkipped(projection="audit", position=42),
    deployment.ProjectionDrifted(projection="access", table="access_grants", rows=2),
    deployment.ConfigurationReloaded(
        former=bytes(range(16)),
        current=bytes(range(16, 32)),
        changed=("lockout.threshold", "server.tls_cert"),
    ),
    deployment.ConfigurationReloadRefused(reason="[server] listen cannot change while it runs"),
    deployment.CertificateLoaded(fingerprint=bytes(range(32)), expires_at=AT),
    checkpoints.CheckpointKeyCreated(
        origin="gatebook/00112233445566778899aabbccddeeff",
        verifier_key="gatebook/00112233445566778899aabbccddeeff+0a1b2c3d+AZBAHB0QbPg4F63DrnJqcDcA",
    ),
    checkpoints.CheckpointConflicted(witness="/mnt/witness/heads", size=300, root=bytes(range(32))),
    checkpoints.CheckpointAbandoned(
        witness="/mnt/witness/heads", size=300, root=bytes(range(32)), reason="restored a backup"
    ),
    custody.MasterKeyRotationStarted(former_id="0011223344556677", key_id="8899aabbccddeeff"),
    custody.MasterKeyRotated(former_id="0011223344556677", key_id="8899aabbccddeeff", keys=100_000),
    custody.MasterKeyEscrowed(key_id="8899aabbccddeeff", shares=5, threshold=3),
    custody.MasterKeyRecovered(key_id="8899aabbccddeeff"),
    custody.StoreBackedUp(head=70_000, size=69_999, root=bytes(range(32)), has_keyring=True),
    custody.StoreRestored(head=70_000, backup_head=80_000),
    custody.StoreCopied(head=80_000, dialect="postgresql"),
    custody.SchemaForced(former=2, version=1),
    factors.FactorsChanged(account_id=ALICE, totp=True, recovery_codes=9, passkeys=(b"\x03" * 16,)),
    first_admin.TokenFirstAdmin(account_id=ALICE),
    first_admin.LocalFirstAdmin(account_id=ALICE),
    first_admin.OidcFirstAdmin(account_id=ALICE),
    identity.IdentityGroupsChanged(
        account_id=ALICE, provider_id=STREAM, groups=("admins", "staff")
    ),
    readings.AuditRead(kind="query", account_id=ALICE, count=3, first_at=AT, last_at=AT + 1_000),
    readings.AuditExported(format="jsonl", after=70_000, upto=None),
    idempotency.CommandDone(
        day="20833",
        shown=ALICE,
        request_hash=b"\x02" * 32,
        expires_at=AT,
        answer=idempotency.Answer(b"{}"),
    ),
    passkey.PasskeyRegistered(
        account_id=ALICE,
        named=passkey.PasskeyName("Alice's phone"),
        credential_id=b"\x03" * 16,
        public_key=b"\xa5",
        sign_count=0,
        backup_eligible=True,
        backed_up=False,
        user_verified=True,
        aaguid="00000000-0000-0000-0000-000000000000",
        attestation="none",
        transports=("internal",),
    ),
    passkey.PasskeyRemoved(account_id=ALICE, cause="owner"),
    passkey.PasskeyUsed(account_id=ALICE, sign_count=7, backed_up=True, user_verified=True),
    passkey.PasskeyBackupChanged(account_id=ALICE, sign_count=6, backed_up=True),
    passkey.PasskeyCloneSuspected(account_id=ALICE, sign_count=7, backed_up=True, received=5),
    passkey.PasskeyChallengeSpent(account_id=ALICE, purpose="login"),
    password.PasswordSet(
        account_id=ALICE, secret=password.PasswordSecret("$argon2id$..."), origin="created"
    ),
    password.PasswordRehashed(account_id=ALICE, secret=password.PasswordSecret("$argon2id$...")),
    password.PasswordRemoved(account_id=ALICE, cause="operator"),
    policy.PolicyAdopted(policy=POLICY),
    recovery_codes.RecoveryCodesGenerated(
        account_id=ALICE, secret=recovery_codes.CodeHashes((b"\x04" * 32,))
    ),
    recovery_codes.RecoveryCodeUsed(account_id=ALICE, index=3),
    recovery_codes.RecoveryCodesRemoved(account_id=ALICE, cause="operator"),
    role.RoleDefined(
        name="ops",
        generation=2,
        permissions=("accounts.read", "audit.read"),
        description="d",
        built_in=False,
    ),
    role.RoleDeleted(name="ops"),
    session.LoginSucceeded(
        account_id=ALICE, proofs=("password", "totp"), failures_before=2, policy=1
    ),
    session.SessionOpened(
        account_id=ALICE,
        epoch=3,
        origin="login",
        amr=("pwd", "otp", "mfa"),
        acr="aal2",
        auth_time=AT,
        expires_at=AT + 2_592_000_000_000,
        idle=None,
        tokens=TOKENS,
        jkt="thumbprint",
    ),
    session.SessionRaised(account_id=ALICE, amr=("pwd", "otp", "mfa"), acr="aal2"),
    session.SessionRotated(account_id=ALICE, tokens=TOKENS),
    session.SessionKept(account_id=ALICE, epoch=4),
    session.TokenReuseDetected(account_id=ALICE),
    session.SessionEnded(account_id=ALICE, cause="logout"),
    signing_keys.KeyCreated(kid="kid-1", algorithm="ES256", public_jwk="{}"),
    signing_keys.KeyActivated(kid="kid-1", signs_from=AT),
    signing_keys.KeyRetired(kid="kid-1"),
    token.TokenIssued(
        account_id=ALICE, epoch=1, kid="kid-1", expires_at=AT, audience="api", scope="read", jkt="t"
    ),
    token.TokenRevoked(account_id=ALICE, session_id=SESSION),
    token.TokensPruned(before=AT),
    totp.TotpOffered(
        account_id=ALICE, secret=totp.TotpSecret(b"\x05" * 20), expires_at=AT + 3_600_000_000
    ),
    totp.TotpConfirmed(
        account_id=ALICE, secret=totp.TotpSecret(b"\x05" * 20), step=60_000_000, offer=2
    ),
    totp.TotpRemoved(account_id=ALICE, cause="owner", offer=2),
    totp.TotpUsed(account_id=ALICE, step=60_000_001),
    federation.FederatedLoginFailed(
        provider_id=PROVIDER, reason="nonce_mismatch", account_id=ALICE
    ),
    federation.FederatedLoginCompleted(account_id=ALICE, provider_id=PROVIDER),
    federation.ProviderLogoutReceived(provider_id=PROVIDER, sessions=2),
    group_mapping.GroupMappingAdded(provider_id=PROVIDER, group="staff", role="viewer"),
    group_mapping.GroupMappingRemoved(provider_id=PROVIDER),
    identity.IdentityLinked(
        account_id=ALICE,
        provider_id=PROVIDER,
        subject=identity.Subject("https://id.provider.test", "248289761001"),
    ),
    identity.IdentityUnlinked(account_id=ALICE, provider_id=PROVIDER),
    provider.ProviderCreated(
        configuration=CONFIGURATION, secret=provider.ProviderSecret("the client's secret")
    ),
    provider.ProviderChanged(
        configuration=CONFIGURATION, secret=provider.ProviderSecret("the client's secret")
    ),
    provider.ProviderRemoved(),
    session.SessionFederated(
        account_id=ALICE,
        provider_id=PROVIDER,
        subject_hash=b"\x03" * 16,
        sid_hash=b"\x04" * 16,
        expires_at=AT,
    ),
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
