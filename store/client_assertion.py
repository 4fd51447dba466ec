"""Client assertions: `private_key_jwt` (RFC 7523, OpenID Connect Core section 9)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from gatebook.store import jose
from gatebook.store.jose import InvalidToken, VerifyingKey

TYPES: Final = (None, "JWT", "client-authentication+jwt")
LONGEST_LIFE: Final = 3600
"""Seconds between now and `exp` at most: what Authlib asks for, and cannot be told otherwise."""

LONGEST_JTI: Final = 256


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str | None = None
    typ: str | None = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: int
    jti: str
    iat: int | None = None
    nbf: int | None = None


class ClientAssertions:
    """Verifies assertions, each once."""

    def __init__(
        self,
        *,
        now: Callable[[], int],
        first: Callable[[bytes, int], bool],
        issuer: str,
        skew: int,
    ) -> None:
        """`now` and `skew` in microseconds; `first(digest, until)`: whether it is shown first."""
        self._now = now
        self._first = first
        self._issuer = issuer
        self._skew = skew // 1_000_000

    def client_of(self, assertion: str) -> UUID:
        """Which client it says it is from. Nothing is verified yet. Raises InvalidToken."""
        claims = jose.read(jose.parse(assertion).payload, _Claims)
        try:
            client_id = UUID(claims.iss)
        except ValueError as error:
            raise InvalidToken("iss is no client") from error
        if str(client_id) != claims.iss or claims.sub != claims.iss:
            raise InvalidToken("iss and sub are not one client")
        return client_id

    def verify(self, assertion: str, jwks: str, endpoint: str) -> None:
        """Raises InvalidToken unless a key of the client's set (JSON) signed it for us, just now.

        `endpoint` is the token endpoint's URL, which may stand in `aud` for the issuer.
        """
        parsed = jose.parse(assertion)
        header = jose.read(parsed.header, _Header)
        if header.typ not in TYPES:
            raise InvalidToken("typ is that of another kind of token")
        jose.check(parsed, _key(header, jwks))
        claims = jose.read(parsed.payload, _Claims)
        audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
        if len(audience) != 1 or audience[0] not in (self._issuer, endpoint):
            raise InvalidToken("aud is not this server")
        self._check_times(claims)
        if not 0 < len(claims.jti) <= LONGEST_JTI:
            raise InvalidToken("jti is empty or too long")
        digest = hashlib.sha256(f"{claims.iss} {claims.jti}".encode()).digest()
        if not self._first(digest, (claims.exp + 1) * 1_000_000):
            raise InvalidToken("the assertion was used before")

    def _check_times(self, claims: _Claims) -> None:
        now = self._now() // 1_000_000
        if not now < claims.exp <= now + LONGEST_LIFE + self._skew:
            raise InvalidToken("exp has passed, or is too far ahead")
        for instant in (claims.iat, claims.nbf):
            if instant is not None and instant > now + self._skew:
                raise InvalidToken("not valid yet")


def _key(header: _Header, jwks: str) -> VerifyingKey:
    """The one key of the set that the header can mean."""
    keys: Sequence[dict[str, str]] = json.loads(jwks)["keys"]
    if header.kid is not None:
        keys = [key for key in keys if key.get("kid") == header.kid]
    loaded = [jose.public_key(key) for key in keys]
    fitting = [key for key in loaded if key.algorithm == header.alg]
    if len(fitting) != 1:
        raise InvalidToken("no one key of the client is meant")
    return fitting[0]
