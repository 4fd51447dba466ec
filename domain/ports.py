"""What the application needs from outside, each as a contract. The adapters are in `store/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Metadata, Recorded, Source
from gatebook.domain.passkey import Assertion
from gatebook.domain.policy import Lockout


class Clock(Protocol):
    """The time."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class Ids(Protocol):
    """Identifiers and randomness."""

    def account(self) -> UUID:
        """A random UUID (version 4)."""
        ...

    def ordered(self) -> UUID:
        """A time-ordered UUID (version 7): for sessions, tokens and requests."""
        ...

    def secret(self, size: int) -> bytes:
        """Random bytes fit for a secret."""
        ...


class Plaintext(Protocol):
    """A password on its way through. It can be verified and hashed, not read, printed or stored."""

    def matches(self, phc: str | None) -> bool:
        """Whether it verifies. None stands for no credential: the same work, and False.

        Raises Overloaded when the hash queue is full.
        """
        ...

    def hash(self, context: Sequence[str]) -> str:
        """An Argon2id PHC string. `context`: words it must not be built from.

        Raises WeakPassword, or Overloaded when the hash queue is full.
        """
        ...

    def rehash(self) -> str:
        """The same password under today's parameters; it was accepted once, so no rule is asked."""
        ...

    def outdated(self, phc: str) -> bool:
        """Whether the PHC string was made with other parameters than today's."""
        ...


class Names(Protocol):
    """Usernames: their form (RFC 8265) and their keyed hash."""

    def enforce(self, username: str) -> str:
        """The name as it is compared (UsernameCaseMapped). Raises InvalidValue."""
        ...

    def stream_id(self, enforced: str) -> UUID:
        """The stream of a name: a keyed hash. A name never becomes one stream by two spellings."""
        ...

    def hash(self, raw: str) -> bytes:
        """A keyed hash of whatever was typed as a name, for the log."""
        ...


class Keys(Protocol):
    """The keyring: sealing, and the private halves of signing keys."""

    def create_subject(self, account_id: UUID) -> None:
        """Makes the key that the account's personal data is sealed under. Idempotent."""
        ...

    def destroy_subject(self, account_id: UUID) -> None:
        """Destroys it, in every process. Idempotent."""
        ...

    def seal_source(
        self, subject: UUID | None, source: Source, request_id: str
    ) -> tuple[UUID | None, bytes]:
        """Seals where a request came from, bound to the request's id.

        Returns (the subject whose key sealed it, sealed). Without a subject, or when its key is
        destroyed, a key that belongs to nobody is used, and the subject returned is None.
        """
        ...

    def seal_answer(self, shown: UUID | None, answer: bytes, request_hash: bytes) -> bytes:
        """Seals an answer under the key of the account it shows, bound to its request."""
        ...

    def open_source(self, subject: UUID | None, sealed: bytes, request_id: str) -> Source | None:
        """What `seal_source` sealed; None once it is erased."""
        ...

    def open_answer(self, shown: UUID | None, sealed: bytes, request_hash: bytes) -> bytes | None:
        """What `seal_answer` sealed; None once that account is erased."""
        ...

    def create_signing_key(self, algorithm: str) -> tuple[str, str]:
        """Makes and wraps a key pair. Returns (kid, public JWK as JSON)."""
        ...

    def destroy_signing_key(self, kid: str) -> None:
        """Destroys the private half. Idempotent."""
        ...

    def derive(self, purpose: str, *parts: bytes) -> bytes:
        """32 bytes by HMAC-SHA-256 under the purpose's own key."""
        ...


class Claims(msgspec.Struct, frozen=True):
    """What an access token says (RFC 9068). Times in seconds, as in the token."""

    iss: str
    sub: str
    aud: str
    exp: int
    iat: int
    nbf: int
    jti: str
    client_id: str
    scope: str = ""
    roles: list[str] = []
    sid: str | None = None
    amr: list[str] = []
    acr: str = ""
    auth_time: int | None = None
    cnf: dict[str, str] = {}


class AssertionClaims(msgspec.Struct, frozen=True):
    """What Gatebook tells a consumer behind a proxy of who called. Times in seconds."""

    iss: str
    sub: str
    aud: str
    username: str
    roles: list[str]
    iat: int
    exp: int
    jti: str


class Signer(Protocol):
    """Signs access tokens and assertions."""

    def sign(self, claims: Claims, kid: str, algorithm: str) -> str:
        """A compact JWS, typ `at+jwt` (RFC 9068)."""
        ...

    def sign_assertion(self, claims: AssertionClaims, kid: str, algorithm: str) -> str:
        """A compact JWS, typ `gatebook-assertion+jwt`."""
        ...


class Envelopes(Protocol):
    """How the envelope of an append is stored."""

    def encode_metadata(self, metadata: Metadata) -> bytes: ...


class Log(Protocol):
    """The log, read by stream."""

    def stream(
        self, stream_id: UUID, after_version: int = 0, upto_position: int | None = None
    ) -> list[Recorded]:
        """A stream's events in order, as far as a position."""
        ...

    def last(self, stream_id: UUID, count: int) -> list[Recorded]:
        """A stream's newest events, in ascending order."""
        ...


class Guesses(Protocol):
    """Reservations: a guess at a secret is reserved before the secret is looked at."""

    def reserved(
        self, stream_id: UUID, lockout: Lockout, *, decoy: bool = False
    ) -> AbstractContextManager[None]:
        """Waits until one more guess cannot pass the threshold, or the counter is locked.

        Held while the guess is verified and its outcome recorded: so the failures on record and
        the guesses under way are never more than the threshold together, on any number of
        processes. Raises Overloaded after waiting too long. Costs two commits, whatever happens.
        `decoy`: the secret does not exist, and nothing but its guesses may show that.
        """
        ...


class Codes(Protocol):
    """One-time codes by time (RFC 6238)."""

    def matching_step(self, key: bytes, code: str, at: int) -> int | None:
        """The step that a code of six digits belongs to; None if to none that counts now.

        The step of an instant (microseconds), the one before and the one after are compared, all
        three whatever the first says.
        """
        ...


class ShownAttestation(msgspec.Struct, frozen=True):
    """What a browser says of a passkey it made (RegistrationResponseJSON), in bytes."""

    credential_id: bytes
    client_data: bytes
    attestation_object: bytes
    transports: tuple[str, ...]


class ShownAssertion(msgspec.Struct, frozen=True):
    """What a browser says of a passkey it used (AuthenticationResponseJSON), in bytes."""

    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None


class Attested(msgspec.Struct, frozen=True):
    """A new passkey, as its authenticator vouches for it. `attestation` is the format."""

    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool
    aaguid: str
    attestation: str


class Ceremonies(Protocol):
    """The two ceremonies of WebAuthn Level 3, without state: what the bytes alone can tell."""

    def challenge_of(self, client_data: bytes) -> bytes:
        """The challenge that a browser answered. Raises InvalidCredentials for malformed data."""
        ...

    def attested(self, shown: ShownAttestation) -> Attested:
        """Section 7.1, steps 5 to 26. The challenge is the caller's to check.

        Raises InvalidCredentials with the step that failed.
        """
        ...

    def asserted(self, shown: ShownAssertion, public_key: bytes) -> Assertion | None:
        """Section 7.2, steps 8 to 18 and 21 to 23. The challenge is the caller's to check.

        None: all is well but the signature. Raises InvalidCredentials with the step that failed.
        """
        ...


class Refusals(Protocol):
    """Counts of what was refused without an event: throwaway, coarse, bounded."""

    def count(self, account_id: UUID, method: str, at: int) -> None:
        """One more refusal of an account's method. Costs one commit, like an append."""
        ...

    def counting(self, account_id: UUID, method: str, at: int) -> Callable[[Any], None]:
        """The same, for the store to run in the place of an append that it rehearses."""
        ...


class LiveAccount(msgspec.Struct, frozen=True):
    """An account as access decisions see it now."""

    account_id: UUID
    username: str | None
    kind: str
    status: str
    epoch: int
    version: int
    roles: list[str]
    permissions: frozenset[str]


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and what he may do now: what he presented counts, and so does his account.

    `id` is that of what he presented: an access token's jti, a session (its cookie) or an API key.
    `scope` narrows the permissions when it is not empty. `jkt` names the key that a proof of
    possession is due for. Times in microseconds.
    """

    kind: Literal["token", "session", "api-key", "local"]
    id: UUID
    account_id: UUID
    username: str | None
    account_kind: str
    session_id: UUID | None
    epoch: int
    roles: list[str]
    permissions: frozenset[str]
    amr: list[str]
    acr: str
    auth_time: int | None
    expires_at: int | None
    kid: str
    audience: str
    scope: str
    jkt: str
    origin: str
    opened_at: int
    idle: int | None


class HeldCredential(msgspec.Struct, frozen=True):
    """A credential that an account has, by the id of its stream. Times in microseconds."""

    credential_id: UUID
    account_id: UUID
    kind: str
    created_at: int
    expires_at: int | None
    detail: str | None


class Access(Protocol):
    """What decides access: written in the append's own transaction, so never stale."""

    def account(self, account_id: UUID, at: int) -> LiveAccount | None: ...

    def caller(self, kind: str, presented_id: UUID, at: int) -> Caller | None:
        """Who presents a "token", "session" or "api-key" of that id; None if it does not count."""
        ...

    def api_key_digest(self, key_id: UUID) -> bytes | None:
        """The SHA-256 of an API key's secret; None when there is no such key."""
        ...

    def live_api_keys(self, account_id: UUID, at: int) -> int:
        """How many API keys of an account count at an instant."""
        ...

    def token_owner(self, jti: UUID) -> tuple[UUID, UUID | None] | None:
        """(account, session) of a token that has not been dropped; None when there is none."""
        ...

    def anything_lives(self, account_id: UUID, at: int) -> bool:
        """Whether a session or a token of the account counts, or could be renewed."""
        ...

    def reach(self, account_id: UUID, at: int) -> dict[str, int | None]:
        """Each permission an account holds, and until when (None: no end)."""
        ...

    def permissions_of(self, role: str) -> frozenset[str] | None:
        """A role's permissions; None when there is no such role."""
        ...

    def credentials_of(self, account_id: UUID) -> list[HeldCredential]:
        """An account's credentials, oldest first."""
        ...

    def locked_counters(self, account_id: UUID) -> list[tuple[UUID, str]]:
        """(stream, method) of every counter of failures of an account that stands above zero."""
        ...

    def sessions_opened_by(self, account_id: UUID, origin: str, at: int) -> list[UUID]:
        """An account's live sessions that one way of signing in has opened."""
        ...

    def holders(self, role: str, at: int) -> int:
        """How many accounts that are not erased hold a role, deleted ones included."""
        ...


class MappedGroup(Protocol):
    """A group mapping in force."""

    @property
    def mapping_id(self) -> UUID: ...

    @property
    def group(self) -> str: ...

    @property
    def role(self) -> str: ...


class Federations(Protocol):
    """What decides federated sign-ins: written in the append's own transaction."""

    def provider_ids(self) -> list[UUID]: ...

    def mappings(self, provider_id: UUID) -> Sequence[MappedGroup]: ...

    def linked(self, provider_id: UUID) -> int:
        """How many accounts are linked to a provider."""
        ...

    def sessions_of_subject(self, subject_hash: bytes) -> list[UUID]: ...

    def sessions_of_sid(self, sid_hash: bytes) -> list[UUID]: ...
