"""Access tokens: signing and verifying compact JWS (RFC 7515, RFC 9068, RFC 8725)."""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

import msgspec
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gatebook.domain.ports import AssertionClaims, Claims
from gatebook.store import jose
from gatebook.store.jose import InvalidToken, VerifyingKey
from gatebook.store.keyring import Keyring
from gatebook.store.signing_pairs import PrivateKey

TYPE: Final = "at+jwt"
ASSERTION_TYPE: Final = "gatebook-assertion+jwt"
CACHED: Final = 20_000


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly what our tokens' headers hold. `crit`, `jwk`, `jku`, `x5u` are refused as unknown."""

    alg: str
    kid: str
    typ: str


_ALGORITHMS: Final[dict[str, Any]] = {
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "EdDSA": OKPAlgorithm(),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
}
_encoder = msgspec.json.Encoder()


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
        members = {k: v for k, v in msgspec.to_builtins(claims).items() if v not in (None, [], "")}
        members["roles"] = claims.roles
        if not claims.cnf:
            del members["cnf"]
        return self._signed(members, kid, algorithm, TYPE)

    def sign_assertion(self, claims: AssertionClaims, kid: str, algorithm: str) -> str:
        """A compact JWS of typ `gatebook-assertion+jwt`, which is no token anywhere."""
        return self._signed(msgspec.to_builtins(claims), kid, algorithm, ASSERTION_TYPE)

    def _signed(self, members: dict[str, Any], kid: str, algorithm: str, typ: str) -> str:
        known = self._keys
        key = known.get(kid)
        if key is None:
            key = self._keyring.signing_key(kid)
            # One that no longer signs leaves this process too, with the next but one.
            self._keys = dict([*known.items(), (kid, key)][-2:])
        header = Header(alg=algorithm, kid=kid, typ=typ)
        signed = b".".join(_base64url(_encoder.encode(part)) for part in (header, members))
        signature = _ALGORITHMS[algorithm].sign(signed, key)
        return b".".join((signed, _base64url(signature))).decode()


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
        self._loaded: dict[str, VerifyingKey] = {}
        self._verified: dict[bytes, Claims] = {}
        self._guard = threading.Lock()

    def verify(self, token: str) -> Claims:
        """The claims of a token of ours. Raises InvalidToken.

        Says nothing of revocation: that is asked of the access read model each time.
        """
        if len(token) > jose.LONGEST or not token.isascii():
            raise InvalidToken("longer than any token of ours")
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._check(token)
            self._remember(digest, claims)
        self._check_times(claims)
        return claims

    def _check(self, token: str) -> Claims:
        parsed = jose.parse(token)
        header = jose.read(parsed.header, Header)
        key = self._key(header.kid)
        if header.alg != key.algorithm or header.typ != TYPE:
            raise InvalidToken("alg is not the key's, or typ is not at+jwt")
        jose.check(parsed, key)
        claims = jose.read(parsed.payload, Claims)
        if claims.iss != self._issuer:
            raise InvalidToken("another issuer")
        return claims

    def _key(self, kid: str) -> VerifyingKey:
        loaded = self._loaded.get(kid)
        if loaded is None:
            found = self._find_key(kid)
            if found is None:
                raise InvalidToken("unknown kid")
            loaded = jose.public_key(json.loads(found.jwk))
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


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
