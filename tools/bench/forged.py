"""Tokens that have to be refused, and tokens that were never seen before.

They are signed with the deployment's own key, so that what is wrong with each is one thing alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatebook.store.signing_pairs import PrivateKey

HOUR = 3600


class Forge:
    """Makes variants of a token that counts."""

    def __init__(self, token: str, key: PrivateKey) -> None:
        self._token = token
        self._key = key
        self._header: dict[str, Any] = jwt.get_unverified_header(token)
        self._claims: dict[str, Any] = json.loads(_decoded(token.split(".")[1]))

    def variants(self, count: int) -> Iterator[str]:
        """Tokens that count as well: each ends a second before the last, so no cache knows it."""
        for second in range(1, count + 1):
            yield self._signed({"exp": self._claims["exp"] - second})

    def refused(self) -> dict[str, str]:
        """Tokens that must never count, by what is wrong with them."""
        now = self._claims["iat"]
        return {
            "expired": self._signed({"exp": now - HOUR, "iat": now - 2 * HOUR}),
            "another audience": self._signed({"aud": "https://elsewhere.example"}),
            "another issuer": self._signed({"iss": "https://elsewhere.example"}),
            "another account": self._signed({"sub": "00000000-0000-4000-8000-000000000000"}),
            "an unknown id": self._signed({"jti": "00000000-0000-4000-8000-000000000000"}),
            "no algorithm": self._unsigned(),
            "HS256 with the public key": self._keyed_with_public(),
            "a flipped signature": self._flipped(),
            "claims of another token": self._swapped(),
            "no token": "not a token",
        }

    def _signed(self, changed: dict[str, Any]) -> str:
        header = {"kid": self._header["kid"], "typ": self._header["typ"]}
        claims = self._claims | changed
        return jwt.encode(claims, self._key, algorithm=self._header["alg"], headers=header)

    def _unsigned(self) -> str:
        header = _encoded(json.dumps(self._header | {"alg": "none"}).encode())
        return f"{header}.{self._token.split('.')[1]}."

    def _keyed_with_public(self) -> str:
        # By hand: PyJWT refuses to take a public key for a secret.
        public = self._key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        header = _encoded(json.dumps(self._header | {"alg": "HS256"}).encode())
        signed = f"{header}.{self._token.split('.')[1]}"
        return f"{signed}.{_encoded(hmac.digest(public, signed.encode(), hashlib.sha256))}"

    def _flipped(self) -> str:
        signed, _, signature = self._token.rpartition(".")
        raw = bytearray(_decoded(signature))
        raw[7] ^= 1
        return f"{signed}.{_encoded(bytes(raw))}"

    def _swapped(self) -> str:
        header, _, signature = self._token.split(".")
        claims = _encoded(json.dumps(self._claims | {"roles": ["admin"]}).encode())
        return f"{header}.{claims}.{signature}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
