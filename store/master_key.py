"""The master key: from a passphrase or a key file, checked before anything is opened with it."""

from __future__ import annotations

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

from gatebook.store import master_record
from gatebook.store.keyring_table import KeyTable
from gatebook.store.master_keys import MasterKeys
from gatebook.store.master_record import (
    KEY_BYTES,
    ROW,
    KeyringDamaged,
    MasterKey,
    Opened,
    Record,
    Secret,
    WrongMasterKey,
)
from gatebook.store.setting_sections import MasterKey as Source
from gatebook.store.settings import ConfigurationError, Settings

__all__ = [
    "KEY_BYTES",
    "ROW",
    "KeyringDamaged",
    "MasterKey",
    "Secret",
    "WrongMasterKey",
    "lend",
    "open_master_key",
    "opened_by",
    "read_private_file",
    "read_secret",
    "taken",
    "write_key_file",
    "write_private_file",
]

SHORTEST_PASSPHRASE = 16
LARGEST = 65_536
"""Bytes read of a private file; none is nearly as long."""

_PLACEHOLDERS = frozenset({"changeme", "change-me", "password", "passphrase", "secret", "example"})

_taken: dict[str, bytes] = {}
"""Passphrases that were in the environment of this process, or of the supervisor, by name."""


def open_master_key(settings: Settings, table: KeyTable, now: int) -> MasterKeys:
    """Reads and checks the master key; the first time, makes the record it is checked by.

    Raises WrongMasterKey, KeyringDamaged, or ConfigurationError when there is no key to read.
    """
    secret = read_secret(settings)
    stored = table.get(ROW)
    if stored is None:
        if table.names():
            raise KeyringDamaged("the keyring has keys but no master record; restore its backup")
        shape, key = master_record.new_shape(secret)
        made = master_record.encode(master_record.record_of(shape))
        if table.add(ROW, made, now):
            return MasterKeys(table, made, Opened(key))
        stored = table.get(ROW) or b""
    try:
        return MasterKeys(table, stored, opened_by(secret, stored))
    except WrongMasterKey as error:
        raise WrongMasterKey(f"{_named(settings.master_key)}: {error}") from None


def _named(source: Source) -> str:
    """The key of the configuration that says where the secret is, with what it says."""
    kinds = ("key_file", "passphrase_file", "passphrase_env")
    (kind,) = [one for one in kinds if getattr(source, one)]
    return f"[master_key] {kind} {getattr(source, kind)!r}"


def opened_by(secret: Secret, stored: bytes) -> Opened:
    """What a secret opens. Raises WrongMasterKey with what it is instead, or KeyringDamaged."""
    record = master_record.decode(stored)
    found = master_record.opened(record, secret)
    if found is None:
        raise WrongMasterKey(_why_not(record, secret))
    return found


def _why_not(record: Record, secret: Secret) -> str:
    replaced = record.replaced
    if replaced is not None and replaced.former.opened_by(secret) is not None:
        day = datetime.fromtimestamp(replaced.at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return (
            f"this is the former master key, replaced on {day}; it opens nothing any more: "
            "set [master_key] to the new one"
        )
    what = "key file" if secret.is_key else "passphrase"
    if not secret.is_key and not record.salt:
        return f"this keyring was made with a {record.shape.kind}; set [master_key] accordingly"
    kind = f" (a {record.shape.kind})" if what != record.shape.kind else ""
    return f"the {what} is not the one this keyring was made with{kind}"


def read_secret(settings: Settings, source: Source | None = None) -> Secret:
    """The secret that `[master_key]`, or another source, names. Raises ConfigurationError."""
    source = settings.master_key if source is None else source
    if source.key_file:
        path = settings.path(source.key_file)
        try:
            key = bytes.fromhex(read_private_file(path, "key file").decode().strip())
        except ValueError as error:
            raise ConfigurationError(f"key file {path} is not 64 hexadecimal digits") from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"key file {path} is not 64 hexadecimal digits")
        return Secret(key, is_key=True)
    if source.passphrase_file:
        path = settings.path(source.passphrase_file)
        passphrase = read_private_file(path, "passphrase file").rstrip(b"\r\n")
        return Secret(_checked(passphrase, f"passphrase file {path}"), is_key=False)
    passphrase = taken(source.passphrase_env)
    where = f"environment variable {source.passphrase_env}"
    if not passphrase:
        raise ConfigurationError(f"{where} is not set; [master_key] passphrase_env names it")
    return Secret(_checked(passphrase, where), is_key=False)


def taken(name: str) -> bytes:
    """What a variable of the environment held, which is taken out of it: no child inherits it."""
    if name in os.environ:  # noqa: TID251 - named by the settings
        _taken[name] = os.environ.pop(name).encode()  # noqa: TID251 - as above
    return _taken.get(name, b"")


def lend(name: str, passphrase: bytes) -> None:
    """Gives this process what its supervisor took from the environment."""
    if name and passphrase:
        _taken[name] = passphrase


def write_key_file(path: Path, key: bytes | None = None) -> None:
    """Makes a key file, a new key unless one is given. Raises FileExistsError, OSError."""
    write_private_file(path, (key or os.urandom(KEY_BYTES)).hex().encode() + b"\n")


def write_private_file(path: Path, content: bytes) -> None:
    """Makes a file, readable by its owner only, synced before it is relied on.

    It has all its content or is not there: a crash leaves at most a file of another name.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        os.unlink(unfinished)
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
        if mode & 0o077 and not _is_credential(path, found):
            raise ConfigurationError(
                f"{purpose} {path} has mode {mode:04o}; others can read it. Run: chmod 600 {path}"
            )
        if found.st_uid not in (0, os.geteuid()):
            raise ConfigurationError(
                f"{purpose} {path} belongs to user {found.st_uid}; this is user {os.geteuid()}. "
                f"Run: chown {os.geteuid()} {path}"
            )
        return file.read(LARGEST)


def _is_credential(path: Path, found: os.stat_result) -> bool:
    """Whether systemd put it there for this service (systemd.exec(5), LoadCredential=).

    It belongs to root then, and an access list lets the service read it: that shows as group bits.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")  # noqa: TID251 - systemd's own
    is_there = bool(directory) and path.parent == Path(directory)
    return is_there and found.st_uid == 0 and not found.st_mode & 0o037


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
