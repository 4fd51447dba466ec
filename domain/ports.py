"""What the application needs from outside, each as a contract. The adapters are in `store/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Metadata, Recorded, Source
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
    ) -> AbstractContextManager[bool]:
        """Waits until one more guess cannot pass the threshold, or the counter is locked.

        Held while the guess is verified and its outcome recorded: so the failures on record and
        the guesses under way are never more than the threshold together, on any number of
        processes. Raises Overloaded after waiting too long. Costs two commits, whatever happens.
        `decoy`: the secret does not exist, and nothing but its guesses may show that: they are
        counted and locked as others are. Gives whether the counter was locked when it began.
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


class Refusals(Protocol):
    """Counts of what was refused without an event: throwaway, coarse, bounded."""

    def count(self, account_id: UUID, method: str, at: int) -> None:
        """One more refusal of an account's method. Costs one commit, like an append."""
        ...

    def counting(self, account_id: UUID, method: str, at: int) -> Callable[[Any], None]:
        """The same, for the store to run in the place of an append that it rehearses."""
        ...
