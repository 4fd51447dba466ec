"""What the application needs from outside, each as a contract. The adapters are in `store/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Metadata, Recorded, Source


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
    auth_time: int | None = None


class Signer(Protocol):
    """Signs access tokens."""

    def sign(self, claims: Claims, kid: str, algorithm: str) -> str:
        """A compact JWS, typ `at+jwt`."""
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


class Refusals(Protocol):
    """Counts of what was refused without an event: throwaway, coarse, bounded."""

    def count(self, key: bytes, at: int) -> None:
        """One more refusal under a key. Costs one commit, like an append."""
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


class LiveToken(msgspec.Struct, frozen=True):
    """An access token that counts now, with its account's access."""

    jti: UUID
    account_id: UUID
    username: str | None
    kind: str
    session_id: UUID | None
    epoch: int
    roles: list[str]
    permissions: frozenset[str]
    amr: list[str]
    auth_time: int | None
    expires_at: int
    kid: str
    audience: str
    scope: str


class Access(Protocol):
    """What decides access: written in the append's own transaction, so never stale."""

    def account(self, account_id: UUID, at: int) -> LiveAccount | None: ...

    def live_token(self, jti: UUID, at: int) -> LiveToken | None: ...

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

    def holders(self, role: str, at: int) -> int:
        """How many accounts that are not erased hold a role, deleted ones included."""
        ...
