"""Operations: pairs that one library takes and the one that serves does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from gatebook.store import tls
from gatebook.store.master_key import write_private_file
from gatebook.store.settings import ConfigurationError

Private = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)


def written(directory: Path, private: Private) -> tuple[Path, Path]:
    """A certificate of this key that signs itself, and the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    hashed = isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    pem = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(9))
        .sign(private, hashes.SHA256() if hashed else None)
        .public_bytes(serialization.Encoding.PEM)
    )
    key = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = directory / "tls.crt", directory / "tls.key"
    for path, content in zip(paths, (pem, key), strict=True):
        write_private_file(path, content)
    return paths


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(3, 2048),
    ],
    ids=["P-521", "secp256k1", "brainpool", "Ed448", "exponent 3"],
)
def test_a_key_that_the_listener_cannot_use(private: Private, tmp_path: Path) -> None:
    """It is refused before any process is told to end; the listener would abort on it."""
    with pytest.raises(ConfigurationError, match="P-256") as refused:
        tls.pair(*written(tmp_path, private))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65_537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_key_that_it_can_use(private: Private, tmp_path: Path) -> None:
    """What certificate authorities give out is taken."""
    assert tls.pair(*written(tmp_path, private)).not_after
