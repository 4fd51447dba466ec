"""Key pairs that sign tokens: made, encoded, and their public half as a JWK."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def generate(algorithm: str) -> PrivateKey:
    """A new pair. Raises ValueError for an algorithm that is not ours."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    raise ValueError(f"no key pair for {algorithm}")


def encode(private: PrivateKey) -> bytes:
    """PKCS #8, to be wrapped."""
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def decode(encoded: bytes) -> PrivateKey:
    """What `encode` made. Raises ValueError for another kind of key."""
    key = serialization.load_der_private_key(encoded, password=None)
    if not isinstance(key, PrivateKey):
        raise ValueError("no key of a kind that signs tokens")
    return key


def public_jwk(private: PrivateKey, algorithm: str) -> tuple[str, str]:
    """(kid, public JWK as JSON). The kid is the JWK thumbprint (RFC 7638)."""
    public = private.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        full = ECAlgorithm.to_jwk(public, as_dict=True)
        required: tuple[str, ...] = ("crv", "kty", "x", "y")
    elif isinstance(public, ed25519.Ed25519PublicKey):
        full = OKPAlgorithm.to_jwk(public, as_dict=True)
        required = ("crv", "kty", "x")
    else:
        full = RSAAlgorithm.to_jwk(public, as_dict=True)
        required = ("e", "kty", "n")
    members = {name: str(full[name]) for name in required}
    kid = _thumbprint(members)
    whole = members | {"kid": kid, "alg": algorithm, "use": "sig"}
    return kid, json.dumps(whole, sort_keys=True, separators=(",", ":"))


def _thumbprint(members: dict[str, str]) -> str:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
