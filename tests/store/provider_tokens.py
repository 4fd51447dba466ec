"""Keys of a provider, the ID tokens they sign, and what comes of reading those."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gatebook.domain.federated_claims import FederationRefused
from gatebook.domain.federation import REASONS
from gatebook.store import id_tokens
from gatebook.store.id_tokens import Expected

NOW = 1_800_000_000
EXPECTED = Expected("https://id.example.org", "gatebook", NOW, 300)
ACCESS = "an access token"
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


class Signer:
    """A key, its published half, and what it signs."""

    def __init__(self, algorithm: str, *, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.private: Any
        if algorithm in CURVES:
            self.private = ec.generate_private_key(CURVES[algorithm])
            published = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            published = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = rsa.generate_private_key(65537, bits)
            published = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk: dict[str, Any] = {**published, "kid": "k"}

    def sign(self, claims: Mapping[str, Any], **headers: Any) -> str:
        """A token; a header that is None is left out."""
        return jwt.encode(
            dict(claims), self.private, algorithm=self.algorithm, headers={"kid": "k", **headers}
        )

    def find(self, _kid: str | None, _algorithm: str) -> Mapping[str, Any]:
        """The published half, whoever asks."""
        return self.jwk


KEY = Signer("ES256")


def at_hash(algorithm: str, access_token: str = ACCESS) -> str:
    """Core 1.0, section 3.1.3.6."""
    digest = hashlib.new("sha" + ("512" if algorithm == "EdDSA" else algorithm[2:]))
    digest.update(access_token.encode())
    half = digest.digest()[: digest.digest_size // 2]
    return urlsafe_b64encode(half).rstrip(b"=").decode()


def claims(algorithm: str = "ES256", **changes: Any) -> dict[str, Any]:
    """A good ID token's claims, changed; `...` leaves one out."""
    said = {
        "iss": EXPECTED.issuer,
        "aud": EXPECTED.client_id,
        "sub": "alice-1",
        "iat": NOW,
        "exp": NOW + 300,
        "nonce": "n",
        "at_hash": at_hash(algorithm),
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ...}


def read(token: str, signer: Signer = KEY, expected: Expected = EXPECTED) -> dict[str, Any]:
    """The claims of an ID token."""
    return id_tokens.id_token(token, signer.find, expected, nonce="n", access_token=ACCESS)


def refused(token: str, signer: Signer = KEY, expected: Expected = EXPECTED) -> str:
    """Why an ID token is not taken."""
    with pytest.raises(FederationRefused) as found:
        read(token, signer, expected)
    assert found.value.reason in REASONS
    return found.value.reason
