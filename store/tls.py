"""The certificate and the key that a listener with TLS has: read, held against each other."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatebook.store.master_key import read_private_file
from gatebook.store.settings import ConfigurationError, Settings

DAY: Final = 86_400 * 1_000_000

Stamp = tuple[tuple[int, int, int], ...]


class Certificate(msgspec.Struct, frozen=True):
    """What is known of the certificate in use. Times in microseconds since the epoch."""

    fingerprint: bytes
    names: list[str]
    not_before: int
    not_after: int

    def days_left(self, now: int) -> float:
        """Days until it ends; negative afterwards."""
        return (self.not_after - now) / DAY


def load(settings: Settings) -> Certificate | None:
    """The pair that the settings name; None without TLS. Raises ConfigurationError.

    One that has expired is a pair all the same: refusing it would close a door that some can
    still use.
    """
    server = settings.server
    if not server.tls_cert:
        return None
    return pair(settings.path(server.tls_cert), settings.path(server.tls_key))


def pair(cert: Path, key: Path) -> Certificate:
    """A certificate, first of a chain, and its key. Raises ConfigurationError."""
    secret = read_private_file(key, "[server] tls_key")
    try:
        chain = x509.load_pem_x509_certificates(cert.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"[server] tls_cert {cert}: {error.strerror}") from error
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
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[server] tls_cert {cert} cannot be used: {error}") from error
    return Certificate(
        fingerprint=first.fingerprint(hashes.SHA256()),
        names=_names(first),
        not_before=_microseconds(first.not_valid_before_utc),
        not_after=_microseconds(first.not_valid_after_utc),
    )


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
