"""Compact JWS, read strictly: the one parser and the one check behind everything that is signed.

RFC 7515 and 8725: three parts of canonical base64url, no JSON member twice, the algorithm pinned to
the key. What reads differently in two libraries is refused here before either sees it.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LONGEST: Final = 8192
ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
RSA_BITS: Final = (2048, 8192)
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_REQUIRED: Final = {
    "ES256": ("crv", "kty", "x", "y"),
    "EdDSA": ("crv", "kty", "x"),
    "RS256": ("e", "kty", "n"),
}

_SMALL_PRIMES: Final = [n for n in range(3, 168) if all(n % d for d in range(2, n))]
_ROCA: Final = {p: frozenset(pow(65_537, k, p) for k in range(p)) for p in _SMALL_PRIMES}
"""A modulus that is a power of 65537 modulo each of these is from a broken generator."""

T = TypeVar("T")
Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class InvalidToken(Exception):
    """Nothing signed that counts. The reason is for tests and debugging, not the wire."""


class InvalidKey(Exception):
    """A JWK that is no public key to verify with. The reason may be told to who gave it."""


class Jws(msgspec.Struct, frozen=True):
    """A token, taken apart: nothing of it is believed yet."""

    header: bytes
    payload: bytes
    signed: bytes
    signature: bytes


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key, the one algorithm it is used with and its thumbprint (RFC 7638)."""

    algorithm: str
    key: Key
    thumbprint: str


def parse(token: str, longest: int = LONGEST) -> Jws:
    """Takes a compact JWS apart. Raises InvalidToken."""
    if len(token) > longest or _COMPACT.fullmatch(token) is None:
        raise InvalidToken("not three parts of base64url, or too long")
    header, payload, signature = (_decoded(part) for part in token.split("."))
    return Jws(header, payload, token.rpartition(".")[0].encode(), signature)


def read(raw: bytes, kind: type[T]) -> T:
    """A JSON object as a struct. Raises InvalidToken for a member that stands twice, too."""
    try:
        json.loads(raw, object_pairs_hook=_once)
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidToken(str(error)) from error


def check(jws: Jws, key: VerifyingKey) -> None:
    """Raises InvalidToken unless the key signed it. What the header says is not asked here."""
    try:
        match key.key:
            case ec.EllipticCurvePublicKey():
                if len(jws.signature) != 64:
                    raise InvalidToken("an ES256 signature has 64 bytes")
                r, s = (int.from_bytes(half) for half in (jws.signature[:32], jws.signature[32:]))
                key.key.verify(encode_dss_signature(r, s), jws.signed, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PublicKey():
                key.key.verify(jws.signature, jws.signed)
            case rsa.RSAPublicKey():
                if len(jws.signature) != (key.key.key_size + 7) // 8:
                    raise InvalidToken("an RSA signature is as long as its key")
                key.key.verify(jws.signature, jws.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise InvalidToken("the signature is wrong") from error


def public_key(jwk: Mapping[str, Any]) -> VerifyingKey:
    """A JWK (RFC 7517) that verifies ES256, EdDSA over Ed25519, or RS256. Raises InvalidKey."""
    if _PRIVATE & jwk.keys():
        raise InvalidKey("It holds private members.")
    kind = (jwk.get("kty"), jwk.get("crv"))
    if kind == ("EC", "P-256"):
        algorithm, key = "ES256", _elliptic(jwk)
    elif kind == ("OKP", "Ed25519"):
        algorithm, key = "EdDSA", _edwards(jwk)
    elif kind[0] == "RSA":
        algorithm, key = "RS256", _rsa(jwk)
    else:
        raise InvalidKey("It is neither P-256 nor Ed25519 nor RSA.")
    if jwk.get("alg", algorithm) != algorithm:
        raise InvalidKey(f"Such a key verifies {algorithm} here, and nothing else.")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("Its use is not sig.")
    if "key_ops" in jwk and jwk["key_ops"] != ["verify"]:
        raise InvalidKey("Its key_ops are not verify alone.")
    return VerifyingKey(algorithm, key, thumbprint({m: jwk[m] for m in _REQUIRED[algorithm]}))


def thumbprint(members: Mapping[str, str]) -> str:
    """The thumbprint of a JWK's required members (RFC 7638)."""
    canonical = json.dumps(dict(members), sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _elliptic(jwk: Mapping[str, Any]) -> Key:
    x, y = _bytes(jwk, "x", 32), _bytes(jwk, "y", 32)
    try:
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()
        ).public_key()
    except ValueError as error:
        raise InvalidKey("The point is not on the curve.") from error


def _edwards(jwk: Mapping[str, Any]) -> Key:
    return ed25519.Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x", 32))


def _rsa(jwk: Mapping[str, Any]) -> Key:
    n, e = (int.from_bytes(_bytes(jwk, name)) for name in ("n", "e"))
    if not RSA_BITS[0] <= n.bit_length() <= RSA_BITS[1]:
        raise InvalidKey(f"An RSA key has {RSA_BITS[0]} to {RSA_BITS[1]} bits.")
    if not 65_537 <= e < 2**32 or not e & n & 1:
        raise InvalidKey("An RSA exponent is odd, and 65537 or more.")
    if all(n % prime in residues for prime, residues in _ROCA.items()):
        raise InvalidKey("It was made by a generator whose keys can be factored (CVE-2017-15361).")
    return rsa.RSAPublicNumbers(e, n).public_key()


def _bytes(jwk: Mapping[str, Any], name: str, size: int | None = None) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or _PART.fullmatch(text) is None or len(text) > 2048:
        raise InvalidKey(f"{name} is not base64url.")
    try:
        raw = _decoded(text)
    except InvalidToken as error:
        raise InvalidKey(f"{name} is not base64url.") from error
    if size is not None and len(raw) != size:
        raise InvalidKey(f"{name} has not {size} bytes.")
    return raw


def _decoded(part: str) -> bytes:
    """Base64url in its one canonical spelling: the unused bits of the last character are zero."""
    rest = len(part) % 4
    unused = {0: 0, 2: 0b1111, 3: 0b11}.get(rest)
    if unused is None or _ALPHABET.index(part[-1]) & unused:
        raise InvalidToken("not canonical base64url")
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a member that stands twice: readers disagree on which one counts (RFC 8259, 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members
