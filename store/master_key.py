"""The master key: from a passphrase or a key file, checked before anything is opened with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

import msgspec
from argon2.low_level import Type, hash_secret_raw

from gatebook.store.keyring_table import KeyTable
from gatebook.store.settings import ConfigurationError, Settings

ROW = "master"
KEY_BYTES = 32
SHORTEST_PASSPHRASE = 16
LARGEST = 65_536
"""Bytes read of a private file; none is nearly as long."""

_CHECK = b"gatebook master key check"
_PLACEHOLDERS = frozenset({"changeme", "change-me", "password", "passphrase", "secret", "example"})


class WrongMasterKey(ConfigurationError):
    """The key or passphrase is not the one this keyring was made with."""


class KeyringDamaged(ConfigurationError):
    """The keyring's own record does not add up."""


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How the key is derived and how it is recognised. A salt is empty for a key file."""

    salt: bytes
    memory_kib: int
    time: int
    lanes: int
    check: bytes


class MasterKey(msgspec.Struct, frozen=True):
    """The key itself and its public name."""

    id: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"MasterKey({self.id.hex()})"


def open_master_key(settings: Settings, table: KeyTable, now: int) -> MasterKey:
    """Reads and checks the master key; the first time, makes the record it is checked by.

    Raises WrongMasterKey, KeyringDamaged, or ConfigurationError when there is no key to read.
    """
    secret, is_key = _read_secret(settings)
    stored = table.get(ROW)
    if stored is None:
        if table.names():
            raise KeyringDamaged("the keyring has keys but no master record; restore its backup")
        record, key = _new_record(secret, is_key)
        if table.add(ROW, _encode(record), now):
            return MasterKey(_name(key), key)
        stored = table.get(ROW) or b""
    record = _decode(stored)
    if is_key != (record.salt == b""):
        kind = "a key file" if record.salt == b"" else "a passphrase"
        raise WrongMasterKey(f"this keyring was made with {kind}; set [master_key] accordingly")
    key = secret if is_key else _stretch(secret, record)
    if not hmac.compare_digest(_check(key), record.check):
        what = "key file" if is_key else "passphrase"
        raise WrongMasterKey(f"the {what} is not the one this keyring was made with")
    return MasterKey(_name(key), key)


def write_key_file(path: Path) -> None:
    """Makes a key file, readable by its owner only, synced before it is relied on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(KEY_BYTES).hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_private_file(path: Path, purpose: str) -> bytes:
    """A file's bytes, if nobody but its owner can read it. Raises ConfigurationError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{purpose} {path}: {error.strerror}") from error
    # One look: what was checked is what is read.
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"{purpose} {path} is not a file")
        if mode & 0o077:
            raise ConfigurationError(
                f"{purpose} {path} has mode {mode:04o}; others can read it. Run: chmod 600 {path}"
            )
        if found.st_uid not in (0, os.geteuid()):
            raise ConfigurationError(
                f"{purpose} {path} belongs to user {found.st_uid}; this is user {os.geteuid()}. "
                f"Run: chown {os.geteuid()} {path}"
            )
        return file.read(LARGEST)


def _read_secret(settings: Settings) -> tuple[bytes, bool]:
    source = settings.master_key
    if source.key_file:
        path = settings.path(source.key_file)
        try:
            key = bytes.fromhex(read_private_file(path, "key file").decode().strip())
        except ValueError as error:
            raise ConfigurationError(f"key file {path} is not 64 hexadecimal digits") from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"key file {path} is not 64 hexadecimal digits")
        return key, True
    if source.passphrase_file:
        path = settings.path(source.passphrase_file)
        passphrase = read_private_file(path, "passphrase file").rstrip(b"\r\n")
        return _checked(passphrase, f"passphrase file {path}"), False
    passphrase = os.environ.get(source.passphrase_env, "").encode()  # noqa: TID251 - named by the settings
    where = f"environment variable {source.passphrase_env}"
    if not passphrase:
        raise ConfigurationError(f"{where} is not set; [master_key] passphrase_env names it")
    return _checked(passphrase, where), False


def _checked(passphrase: bytes, where: str) -> bytes:
    if (
        len(passphrase) < SHORTEST_PASSPHRASE
        or passphrase.lower().decode("utf-8", "replace").strip("!<>. 0123456789") in _PLACEHOLDERS
    ):
        raise ConfigurationError(
            f"{where} holds no passphrase of {SHORTEST_PASSPHRASE} bytes or more; "
            "make one with: openssl rand -base64 32"
        )
    return passphrase


def _new_record(secret: bytes, is_key: bool) -> tuple[_Record, bytes]:
    if is_key:
        return _Record(b"", 0, 0, 0, _check(secret)), secret
    shape = _Record(os.urandom(16), 64 * 1024, 3, 4, b"")
    key = _stretch(secret, shape)
    return msgspec.structs.replace(shape, check=_check(key)), key


def _stretch(passphrase: bytes, record: _Record) -> bytes:
    return hash_secret_raw(
        passphrase, record.salt, record.time, record.memory_kib, record.lanes, KEY_BYTES, Type.ID
    )


def _check(key: bytes) -> bytes:
    return hmac.digest(key, _CHECK, "sha256")


def _name(key: bytes) -> bytes:
    return hmac.digest(key, b"gatebook master key name", "sha256")[:8]


def _encode(record: _Record) -> bytes:
    body = msgspec.msgpack.encode(record)
    return hashlib.sha256(body).digest() + body


def _decode(stored: bytes) -> _Record:
    digest, body = stored[:32], stored[32:]
    if hashlib.sha256(body).digest() != digest:
        raise KeyringDamaged("the keyring's master record is damaged; restore the keyring's backup")
    return msgspec.msgpack.decode(body, type=_Record)
