"""The certificate and the key that a listener with TLS has: read, held against each other."""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatebook.store.master_key import read_private_file
from gatebook.store.settings import ConfigurationError, Settings

DAY: Final = 86_400 * 1_000_000

LARGEST: Final = 32 * 2**10
"""Bytes of a certificate with its chain, or of a key: a supervisor lends them to its children."""

Stamp = tuple[tuple[int, int, int], ...]

_lent: list[bytes] = []
"""The certificate and key that this process has from its supervisor."""


class Certificate(msgspec.Struct, frozen=True):
    """What is known of the certificate in use. Times in microseconds since the epoch."""

    fingerprint: bytes
    names: list[str]
    not_before: int
    not_after: int

    def days_left(self, now: int) -> float:
        """Days until it ends; negative afterwards."""
        return (self.not_after - now) / DAY


class Pair(msgspec.Struct, frozen=True):
    """A certificate with its chain and its key, as they were read; `stamp` of before."""

    certificate: Certificate
    cert: bytes
    key: bytes
    stamp: Stamp = ()


def lend(cert: bytes, key: bytes) -> None:
    """Gives this process a pair that counts in the place of the files; nothing if it is empty."""
    _lent[:] = [cert, key] if cert else []


def load(settings: Settings) -> Certificate | None:
    """What `read` finds, without the bytes. Raises ConfigurationError."""
    found = read(settings)
    return None if found is None else found.certificate


def read(settings: Settings) -> Pair | None:
    """The pair that was lent, else that the settings name; None without TLS.

    One that has expired is a pair all the same: refusing it would close a door that some can
    still use. Raises ConfigurationError.
    """
    server = settings.server
    if not server.tls_cert:
        return None
    paths = settings.path(server.tls_cert), settings.path(server.tls_key)
    if _lent:
        return _checked(_lent[0], _lent[1], *paths)
    before = stamp(settings)
    return msgspec.structs.replace(_read(*paths), stamp=before)


def pair(cert: Path, key: Path) -> Certificate:
    """A certificate, first of a chain, and its key. Raises ConfigurationError."""
    return _read(cert, key).certificate


def in_memory(content: bytes) -> IO[bytes]:
    """A file without a name on any disk; see `path_of`."""
    made: IO[bytes]
    if hasattr(os, "memfd_create"):
        made = os.fdopen(os.memfd_create("pair", os.MFD_CLOEXEC), "w+b", buffering=0)
    else:
        made = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    made.write(content)
    made.seek(0)
    return made


def path_of(file: IO[bytes]) -> str:
    """Where this process can open it, as long as it is not closed."""
    return f"/dev/fd/{file.fileno()}"


def _read(cert: Path, key: Path) -> Pair:
    secret = read_private_file(key, "[server] tls_key")
    try:
        held = cert.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"[server] tls_cert {cert}: {error.strerror}") from error
    return _checked(held, secret, cert, key)


def _checked(held: bytes, secret: bytes, cert: Path, key: Path) -> Pair:
    """Holds them against each other. The paths are for what is said of them."""
    if max(len(held), len(secret)) > LARGEST:
        raise ConfigurationError(f"[server] tls_cert {cert} or tls_key: larger than 32 KiB")
    try:
        chain = x509.load_pem_x509_certificates(held)
    except ValueError as error:
        raise ConfigurationError(f"[server] tls_cert {cert} holds no PEM certificate") from error
    try:
        private = serialization.load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"[server] tls_key {key} holds no PEM key, or one with a password"
        ) from error
    first = chain[0]
    if _spki(private.public_key()) != _spki(first.public_key()):
        raise ConfigurationError(
            f"[server] tls_key {key} is not the key of tls_cert {cert}: replace both"
        )
    if not _is_usable(private):
        raise ConfigurationError(
            f"[server] tls_key {key} is of a kind that is not served with: "
            "P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits"
        )
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(in_memory(one)) for one in (held, secret)]
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*map(path_of, files))
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[server] tls_cert {cert} cannot be used: {error}") from error
    certificate = Certificate(
        fingerprint=first.fingerprint(hashes.SHA256()),
        names=_names(first),
        not_before=_microseconds(first.not_valid_before_utc),
        not_after=_microseconds(first.not_valid_after_utc),
    )
    return Pair(certificate, held, secret)


def stamp(settings: Settings) -> Stamp:
    """What changes when the files do; empty without TLS, or while one is not there."""
    server = settings.server
    found = []
    for name in (server.tls_cert, server.tls_key) if server.tls_cert else ():
        try:
            seen = os.stat(settings.path(name))
        except OSError:
            return ()
        found.append((seen.st_ino, seen.st_mtime_ns, seen.st_size))
    return tuple(found)


def _is_usable(private: object) -> bool:
    """Whether granian's TLS takes it. On any other its process aborts, once it is to serve."""
    match private:
        case ec.EllipticCurvePrivateKey():
            return isinstance(private.curve, ec.SECP256R1 | ec.SECP384R1)
        case rsa.RSAPrivateKey():
            exponent = private.private_numbers().public_numbers.e
            return private.key_size in range(2048, 4097) and exponent >= 65_537
        case _:
            return isinstance(private, ed25519.Ed25519PrivateKey)


def _spki(public: object) -> bytes:
    encoded: bytes = public.public_bytes(  # type: ignore[attr-defined]  # every public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return names.get_values_for_type(x509.DNSName) + addresses


def _microseconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1_000_000)
