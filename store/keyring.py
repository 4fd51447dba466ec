"""The keyring: every key, wrapped by the master key, outside the log.

One key a subject, so that destroying one row erases a person everywhere; one a purpose; the private
halves of the signing keys. Each is wrapped with AES-256-GCM, its own name as associated data.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gatebook.domain.envelope import Source
from gatebook.store.keyring_table import KeyTable
from gatebook.store.master_key import KeyringDamaged, MasterKey

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

NOBODY = "purpose:sources"
CACHED = 20_000
FORGET_AFTER = 1.0
"""Seconds. A key destroyed by another process is forgotten by this one no later than that."""


class Keyring:
    """Opens, makes and destroys keys. Any thread may use it."""

    def __init__(self, table: KeyTable, master: MasterKey, now: Callable[[], int]) -> None:
        self._table = table
        self._master = master
        self._wrapping = AESGCM(master.key)
        self._now = now
        self._cache: dict[str, tuple[float, bytes, AESGCM]] = {}
        self._guard = threading.Lock()

    # --- sealing

    def seal(self, name: str, plaintext: bytes, associated: bytes) -> bytes:
        """Nonce and ciphertext under a key that exists. Raises KeyError when it does not."""
        key = self._key(name)
        if key is None:
            raise KeyError(name)
        nonce = os.urandom(12)
        return nonce + key[1].encrypt(nonce, plaintext, associated)

    def open(self, name: str, sealed: bytes, associated: bytes) -> bytes | None:
        """The plaintext; None once the key is destroyed. Raises KeyringDamaged if altered."""
        key = self._key(name)
        if key is None:
            return None
        try:
            return key[1].decrypt(sealed[:12], sealed[12:], associated)
        except InvalidTag as error:
            raise KeyringDamaged(f"something sealed under {name} was altered or moved") from error

    def seal_source(
        self, subject: UUID | None, source: Source, request_id: str
    ) -> tuple[UUID | None, bytes]:
        """Seals where a request came from, under the subject's key or nobody's."""
        name = f"subject:{subject}"
        if subject is None or self._key(name) is None:
            subject, name = None, NOBODY
            self._ensure(name)
        return subject, self.seal(name, msgspec.msgpack.encode(source), request_id.encode())

    def open_source(self, subject: UUID | None, sealed: bytes, request_id: str) -> Source | None:
        """What `seal_source` sealed; None once its key is destroyed."""
        name = NOBODY if subject is None else f"subject:{subject}"
        opened = self.open(name, sealed, request_id.encode())
        return None if opened is None else msgspec.msgpack.decode(opened, type=Source)

    def seal_answer(self, shown: UUID | None, answer: bytes, request_hash: bytes) -> bytes:
        """Seals an answer under the key of the account it shows, or as it is without one."""
        if shown is None:
            return answer
        return self.seal(f"subject:{shown}", answer, b"answer" + request_hash)

    def open_answer(self, shown: UUID | None, sealed: bytes, request_hash: bytes) -> bytes | None:
        """What `seal_answer` sealed; None once that account is erased."""
        if shown is None:
            return sealed
        return self.open(f"subject:{shown}", sealed, b"answer" + request_hash)

    def forget_subjects(self) -> None:
        """Drops every cached key of a person, so that one that is destroyed opens nothing more."""
        with self._guard:
            for name in [name for name in self._cache if name.startswith("subject:")]:
                del self._cache[name]

    def derive(self, purpose: str, *parts: bytes) -> bytes:
        """HMAC-SHA256 of length-prefixed parts under the purpose's own key."""
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._ensure(f"purpose:{purpose}"), message, "sha256")

    # --- keys

    def create_subject(self, account_id: UUID) -> None:
        """Makes an account's key. Idempotent."""
        self._ensure(f"subject:{account_id}")

    def destroy_subject(self, account_id: UUID) -> None:
        """Destroys an account's key. Idempotent."""
        self.destroy(f"subject:{account_id}")

    def create_named(self, name: str) -> None:
        """Makes the key of that name unless it exists."""
        self._ensure(name)

    def destroy(self, name: str) -> None:
        """Removes a row for good. Idempotent."""
        self._table.remove(name)
        with self._guard:
            self._cache.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether a key of that name exists."""
        return self._table.get(name) is not None

    def names(self, prefix: str) -> list[str]:
        """The names of all keys with a prefix."""
        return self._table.names(prefix)

    def create_signing_key(self, algorithm: str) -> tuple[str, str]:
        """Makes a key pair and wraps its private half. Returns (kid, public JWK as JSON).

        The kid is the JWK thumbprint (RFC 7638).
        """
        private = _generate(algorithm)
        jwk = _public_jwk(private, algorithm)
        kid = jwk["kid"]
        encoded = private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._table.add(f"signing:{kid}", self._wrap(f"signing:{kid}", encoded), self._now())
        return kid, json.dumps(jwk, sort_keys=True, separators=(",", ":"))

    def signing_key(self, kid: str) -> PrivateKey:
        """A private half. Raises KeyError when it is destroyed."""
        name = f"signing:{kid}"
        wrapped = self._table.get(name)
        if wrapped is None:
            raise KeyError(name)
        key = serialization.load_der_private_key(self._unwrap(name, wrapped), password=None)
        if not isinstance(key, PrivateKey):
            raise KeyringDamaged(f"{name} is of an unknown kind")
        return key

    def destroy_signing_key(self, kid: str) -> None:
        """Destroys a private half. Idempotent."""
        self.destroy(f"signing:{kid}")

    # --- details

    def _ensure(self, name: str) -> bytes:
        key = self._key(name)
        if key is None:
            self._table.add(name, self._wrap(name, os.urandom(32)), self._now())
            key = self._key(name, fresh=True)  # another process may have made it first
        if key is None:
            raise KeyError(name)
        return key[0]

    def _key(self, name: str, *, fresh: bool = False) -> tuple[bytes, AESGCM] | None:
        known = self._cache.get(name)
        at = time.monotonic()
        if known is not None and not fresh and at < known[0]:
            return known[1], known[2]
        wrapped = self._table.get(name)
        if wrapped is None:
            with self._guard:
                self._cache.pop(name, None)
            return None
        key = self._unwrap(name, wrapped)
        cipher = AESGCM(key)
        with self._guard:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[name] = (at + FORGET_AFTER, key, cipher)
        return key, cipher

    def _wrap(self, name: str, key: bytes) -> bytes:
        nonce = os.urandom(12)
        return self._master.id + nonce + self._wrapping.encrypt(nonce, key, self._bound(name))

    def _unwrap(self, name: str, wrapped: bytes) -> bytes:
        if wrapped[:8] != self._master.id:
            raise KeyringDamaged(f"the key {name} is wrapped by another master key")
        try:
            return self._wrapping.decrypt(wrapped[8:20], wrapped[20:], self._bound(name))
        except InvalidTag as error:
            raise KeyringDamaged(f"the key {name} is damaged; restore the keyring") from error

    def _bound(self, name: str) -> bytes:
        return b"gatebook key\0" + self._master.id + name.encode()


def _generate(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    raise ValueError(f"no key pair for {algorithm}")


def _public_jwk(private: PrivateKey, algorithm: str) -> dict[str, str]:
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
    return members | {"kid": _thumbprint(members), "alg": algorithm, "use": "sig"}


def _thumbprint(members: dict[str, str]) -> str:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
