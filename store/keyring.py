"""The keyring: every key, wrapped by the master key, outside the log.

One key a subject, so that destroying one row erases a person everywhere; one a purpose; the private
halves of the signing keys. Each is wrapped with AES-256-GCM, its own name as associated data.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatebook.domain.envelope import Source
from gatebook.store import signing_pairs
from gatebook.store.keyring_table import KeyTable
from gatebook.store.master_keys import MasterKeys, UnknownMaster
from gatebook.store.master_record import KeyringDamaged
from gatebook.store.signing_pairs import PrivateKey

CHECKPOINT_KEY: Final = "checkpoint:ed25519"
"""The name of the seed that heads are signed with."""

NOBODY = "purpose:sources"
CACHED = 20_000
FORGET_AFTER = 1.0
"""Seconds. A key destroyed by another process is forgotten by this one no later than that."""
LOOKS = 5
"""How often the master row is read anew before a key counts as wrapped by a stranger."""


class Keyring:
    """Opens, makes and destroys keys. Any thread may use it."""

    def __init__(self, table: KeyTable, masters: MasterKeys, now: Callable[[], int]) -> None:
        self._table = table
        self._masters = masters
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

    def checkpoint_seed(self) -> bytes:
        """The 32-byte seed of the Ed25519 key that signs heads, made at its first use."""
        return self._ensure(CHECKPOINT_KEY)

    def create_signing_key(self, algorithm: str) -> tuple[str, str]:
        """Makes a key pair and wraps its private half. Returns (kid, public JWK as JSON).

        The kid is the JWK thumbprint (RFC 7638). A crash before the key is in the log leaves a
        private half that nothing was ever signed with.
        """
        private = signing_pairs.generate(algorithm)
        kid, jwk = signing_pairs.public_jwk(private, algorithm)
        self._add(f"signing:{kid}", signing_pairs.encode(private))
        return kid, jwk

    def signing_key(self, kid: str) -> PrivateKey:
        """A private half. Raises KeyError when it is destroyed."""
        name = f"signing:{kid}"
        encoded = self._stored(name)
        if encoded is None:
            raise KeyError(name)
        try:
            return signing_pairs.decode(encoded)
        except ValueError as error:
            raise KeyringDamaged(f"{name} is of an unknown kind") from error

    def destroy_signing_key(self, kid: str) -> None:
        """Destroys a private half. Idempotent."""
        self.destroy(f"signing:{kid}")

    # --- details

    def _ensure(self, name: str) -> bytes:
        key = self._key(name)
        if key is None:
            self._add(name, os.urandom(32))
            key = self._key(name, fresh=True)  # another process may have made it first
        if key is None:
            raise KeyError(name)
        return key[0]

    def _key(self, name: str, *, fresh: bool = False) -> tuple[bytes, AESGCM] | None:
        known = self._cache.get(name)
        at = time.monotonic()
        if known is not None and not fresh and at < known[0]:
            return known[1], known[2]
        key = self._stored(name)
        if key is None:
            with self._guard:
                self._cache.pop(name, None)
            return None
        cipher = AESGCM(key)
        with self._guard:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[name] = (at + FORGET_AFTER, key, cipher)
        return key, cipher

    def _add(self, name: str, key: bytes) -> None:
        """Wraps a new key, under the master key of the very moment, unless the name is taken."""
        for _ in range(LOOKS):
            wrapped, believed = self._masters.wrap(name, key)
            if self._table.add(name, wrapped, self._now(), believed=believed):
                return
            if not self._masters.look() and self._table.get(name) is not None:
                return
        raise KeyringDamaged(f"the key {name} cannot be made: the master key keeps changing")

    def _stored(self, name: str) -> bytes | None:
        """The key of a row; None when there is none. Raises KeyringDamaged."""
        for _ in range(LOOKS):
            wrapped = self._table.get(name)
            if wrapped is None:
                return None
            try:
                return self._masters.unwrap(name, wrapped)
            except UnknownMaster:
                # A rotation may have begun, and come to this row, since the last look; another
                # thread may have looked in this very moment, so what it saw says nothing here.
                self._masters.look()
        raise KeyringDamaged(f"the key {name} is wrapped by another master key")
