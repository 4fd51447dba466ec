"""The keyring's own row: how its master key is recognised, and what a rotation needs meanwhile.

The row is read for ever: fields are only added, at its end.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatebook.store.settings import ConfigurationError

ROW: Final = "master"
KEY_BYTES: Final = 32

_CHECK = b"gatebook master key check"
_NAME = b"gatebook master key name"
_NEXT_SALT = b"gatebook salt of the next master key"
_ARGON2 = (64 * 1024, 3, 4)
"""KiB, passes and lanes of a passphrase that is new."""


class WrongMasterKey(ConfigurationError):
    """The key or passphrase is not the one this keyring was made with."""


class KeyringDamaged(ConfigurationError):
    """The keyring's own record does not add up."""


class MasterKey(msgspec.Struct, frozen=True):
    """The key itself and its public name: 8 bytes, which stand before everything it wraps."""

    id: bytes
    key: bytes

    @staticmethod
    def of(key: bytes) -> MasterKey:
        """The master key of 32 bytes."""
        return MasterKey(hmac.digest(key, _NAME, "sha256")[:8], key)

    def __repr__(self) -> str:
        return f"MasterKey({self.id.hex()})"


class Secret(msgspec.Struct, frozen=True):
    """What a source gave: a key, or a passphrase that a key is derived from."""

    value: bytes
    is_key: bool

    def __repr__(self) -> str:
        return f"Secret(is_key={self.is_key})"


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a key is derived (Argon2id) and recognised. The salt is empty for a key file."""

    salt: bytes
    memory_kib: int
    time: int
    lanes: int
    check: bytes

    @property
    def kind(self) -> str:
        """What it was made from."""
        return "passphrase" if self.salt else "key file"

    def opened_by(self, secret: Secret) -> MasterKey | None:
        """The key, if the secret is the right one. A key counts however it was made at first."""
        if secret.is_key:
            key = secret.value
        elif self.salt:
            key = _stretch(secret.value, self)
        else:
            return None
        return MasterKey.of(key) if self.recognises(key) else None

    def recognises(self, key: bytes) -> bool:
        """Whether it is the key."""
        return hmac.compare_digest(_check(key), self.check)


class UnderWay(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A rotation that has not ended: each key is wrapped by the other, so either opens all."""

    former: Shape
    new_by_former: bytes
    former_by_new: bytes
    began_at: int


class Replaced(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The master key before this one, so that who still has it is told. It opens nothing."""

    former: Shape
    former_id: bytes
    at: int


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The row. Its first five fields are a `Shape`; the others are not there until they count."""

    salt: bytes
    memory_kib: int
    time: int
    lanes: int
    check: bytes
    under_way: UnderWay | None = None
    replaced: Replaced | None = None

    @property
    def shape(self) -> Shape:
        """How the master key of today is derived and recognised."""
        return Shape(self.salt, self.memory_kib, self.time, self.lanes, self.check)


class Opened(msgspec.Struct, frozen=True):
    """What a secret opened: the key of today, and the former one while a rotation is under way."""

    current: MasterKey
    former: MasterKey | None = None


def record_of(
    shape: Shape, *, under_way: UnderWay | None = None, replaced: Replaced | None = None
) -> Record:
    """A row for a key."""
    return Record(
        salt=shape.salt,
        memory_kib=shape.memory_kib,
        time=shape.time,
        lanes=shape.lanes,
        check=shape.check,
        under_way=under_way,
        replaced=replaced,
    )


def new_shape(secret: Secret, former: MasterKey | None = None) -> tuple[Shape, MasterKey]:
    """A key to begin with, out of a secret.

    The salt of a passphrase that follows another key is derived from that key: whoever was
    interrupted and comes again with the same passphrase comes to the same master key.
    """
    if secret.is_key:
        return Shape(b"", 0, 0, 0, _check(secret.value)), MasterKey.of(secret.value)
    salt = os.urandom(16)
    if former is not None:
        salt = hmac.digest(former.key, _NEXT_SALT, "sha256")[:16]
    shape = Shape(salt, *_ARGON2, b"")
    key = _stretch(secret.value, shape)
    return msgspec.structs.replace(shape, check=_check(key)), MasterKey.of(key)


def opened(record: Record, secret: Secret) -> Opened | None:
    """What a secret opens of a row; None when it is not the right one."""
    current = record.shape.opened_by(secret)
    under_way = record.under_way
    if current is not None:
        former = None if under_way is None else unwrap_former(under_way, current)
        return Opened(current, former)
    if under_way is None:
        return None
    former = under_way.former.opened_by(secret)
    return None if former is None else Opened(unwrap_new(record, under_way, former), former)


def wrap_master(key: MasterKey, by: MasterKey) -> bytes:
    """One master key under another, for as long as a rotation lasts."""
    nonce = os.urandom(12)
    return by.id + nonce + AESGCM(by.key).encrypt(nonce, key.key, _bound(by))


def unwrap_new(record: Record, under_way: UnderWay, former: MasterKey) -> MasterKey:
    """The key of today, by the one before. Raises KeyringDamaged."""
    key = _unwrapped(under_way.new_by_former, former)
    if not record.shape.recognises(key):
        raise KeyringDamaged(_DAMAGED)
    return MasterKey.of(key)


def unwrap_former(under_way: UnderWay, current: MasterKey) -> MasterKey:
    """The key before, by the one of today. Raises KeyringDamaged."""
    key = _unwrapped(under_way.former_by_new, current)
    if not under_way.former.recognises(key):
        raise KeyringDamaged(_DAMAGED)
    return MasterKey.of(key)


def encode(record: Record) -> bytes:
    """The row's bytes: a digest, so that damage is told from a wrong key, and the fields."""
    fields = [*msgspec.structs.astuple(record)]
    while fields and fields[-1] is None:
        fields.pop()
    body = msgspec.msgpack.encode(fields)
    return hashlib.sha256(body).digest() + body


def decode(stored: bytes) -> Record:
    """Raises KeyringDamaged."""
    digest, body = stored[:32], stored[32:]
    if hashlib.sha256(body).digest() != digest:
        raise KeyringDamaged(_DAMAGED)
    try:
        return msgspec.msgpack.decode(body, type=Record)
    except msgspec.ValidationError as error:
        raise KeyringDamaged(
            "the keyring's master record is of a newer release; run that release"
        ) from error


_DAMAGED = "the keyring's master record is damaged; restore the keyring's backup"


def _unwrapped(wrapped: bytes, by: MasterKey) -> bytes:
    try:
        return AESGCM(by.key).decrypt(wrapped[8:20], wrapped[20:], _bound(by))
    except InvalidTag as error:
        raise KeyringDamaged(_DAMAGED) from error


def _bound(by: MasterKey) -> bytes:
    return b"gatebook master key\0" + by.id


def _stretch(passphrase: bytes, shape: Shape) -> bytes:
    return hash_secret_raw(
        passphrase, shape.salt, shape.time, shape.memory_kib, shape.lanes, KEY_BYTES, Type.ID
    )


def _check(key: bytes) -> bytes:
    return hmac.digest(key, _CHECK, "sha256")
