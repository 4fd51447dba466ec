"""Access tokens: signing and verifying compact JWS (RFC 7515, RFC 9068, RFC 8725)."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final

import jwt
import msgspec
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gatebook.domain.ports import Claims
from gatebook.store.keyring import Keyring, PrivateKey

TYPE: Final = "at+jwt"
LONGEST: Final = 8192
CACHED: Final = 20_000
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_LOADERS: Final[dict[str, Callable[[str], Any]]] = {
    "ES256": ECAlgorithm.from_jwk,
    "EdDSA": OKPAlgorithm.from_jwk,
    "RS256": RSAAlgorithm.from_jwk,
}


class InvalidToken(Exception):
    """Not a token of ours that counts now. The reason is for tests and debugging, not the wire."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly what our tokens' headers hold. `crit`, `jwk`, `jku`, `x5u` are refused as unknown."""

    alg: str
    kid: str
    typ: str


class PublicKey(msgspec.Struct, frozen=True):
    """A published key: its algorithm and its JWK as JSON."""

    algorithm: str
    jwk: str


class JwsSigner:
    """Signs with the keyring's private halves."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys: dict[str, PrivateKey] = {}

    def sign(self, claims: Claims, kid: str, algorithm: str) -> str:
        """A compact JWS of typ `at+jwt`."""
        key = self._keys.get(kid)
        if key is None:
            key = self._keys.setdefault(kid, self._keyring.signing_key(kid))
        members = {k: v for k, v in msgspec.to_builtins(claims).items() if v not in (None, [], "")}
        members["roles"] = claims.roles
        return jwt.encode(members, key, algorithm=algorithm, headers={"kid": kid, "typ": TYPE})


class Verifier:
    """Verifies access tokens. What was verified is remembered until it expires."""

    def __init__(
        self,
        *,
        find_key: Callable[[str], PublicKey | None],
        now: Callable[[], int],
        issuer: str,
        skew: int,
    ) -> None:
        """`now` and `skew` are microseconds; `find_key` returns a published key by kid."""
        self._find_key = find_key
        self._now = now
        self._issuer = issuer
        self._skew = skew // 1_000_000
        self._loaded: dict[str, tuple[str, Any]] = {}
        self._verified: dict[bytes, Claims] = {}
        self._guard = threading.Lock()

    def verify(self, token: str) -> Claims:
        """The claims of a token of ours. Raises InvalidToken.

        Says nothing of revocation: that is asked of the access read model each time.
        """
        if len(token) > LONGEST or not token.isascii():
            raise InvalidToken("longer than any token of ours")
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._check(token)
            self._remember(digest, claims)
        self._check_times(claims)
        return claims

    def _check(self, token: str) -> Claims:
        header = self._header(token)
        algorithm, key = self._key(header.kid)
        if header.alg != algorithm or header.typ != TYPE:
            raise InvalidToken("alg is not the key's, or typ is not at+jwt")
        try:
            payload = jwt.api_jws.decode(token, key, algorithms=[algorithm])
            claims = msgspec.json.decode(_unique(payload), type=Claims)
        except (jwt.PyJWTError, msgspec.DecodeError, ValueError) as error:
            raise InvalidToken(str(error)) from error
        if claims.iss != self._issuer:
            raise InvalidToken("another issuer")
        return claims

    def _header(self, token: str) -> Header:
        if _COMPACT.fullmatch(token) is None:
            raise InvalidToken("not three parts of base64url")
        parts = token.split(".")
        if any(len(part) % 4 == 1 or not _canonical(part) for part in parts):
            raise InvalidToken("not canonical base64url")
        try:
            raw = urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))
            return msgspec.json.decode(_unique(raw), type=Header)
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidToken(str(error)) from error

    def _key(self, kid: str) -> tuple[str, Any]:
        loaded = self._loaded.get(kid)
        if loaded is None:
            found = self._find_key(kid)
            if found is None:
                raise InvalidToken("unknown kid")
            loaded = (found.algorithm, _LOADERS[found.algorithm](found.jwk))
            self._loaded[kid] = loaded
        return loaded

    def _check_times(self, claims: Claims) -> None:
        now = self._now() // 1_000_000
        if now >= claims.exp:
            raise InvalidToken("expired")
        if now < claims.nbf - self._skew or now < claims.iat - self._skew:
            raise InvalidToken("not valid yet")

    def _remember(self, digest: bytes, claims: Claims) -> None:
        with self._guard:
            if len(self._verified) >= CACHED:
                for old in list(self._verified)[: CACHED // 2]:
                    del self._verified[old]
            self._verified[digest] = claims


def _unique(raw: bytes) -> bytes:
    """Refuses JSON with a member twice: readers disagree on which one counts (RFC 8259, 4)."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member stands twice")
        return members

    json.loads(raw, object_pairs_hook=check)
    return raw


def _canonical(part: str) -> bool:
    """Whether the unused bits of the last character are zero."""
    rest = len(part) % 4
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused = {0: 0, 2: 0b1111, 3: 0b11}.get(rest, 0)
    return alphabet.index(part[-1]) & unused == 0
