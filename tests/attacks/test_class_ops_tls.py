"""Operations: pairs that one library takes and the one that serves does not."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from gatebook.api import reload
from gatebook.store import tls
from gatebook.store.master_key import write_private_file
from gatebook.store.settings import ConfigurationError, Settings
from tests.api.served import Deployment
from tests.attacks.tools import program

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


def test_a_refused_pair_is_tried_again(
    own: Deployment, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A renewal that came while the store was away is not forgotten until the next renewal."""
    written(own.directory, ec.generate_private_key(ec.SECP256R1()))
    pairs = 'engine = "granian"\ntls_cert = "tls.crt"\ntls_key = "tls.key"\n[store]'
    own.config.write_text(own.config.read_text().replace("[store]", pairs))
    settings = Settings.load(own.config, {})
    monkeypatch.setattr(reload, "LOOK_EVERY", 0.0)
    listening = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listening.close)
    reloads = reload.Reloads(own.config, settings, listening, None, tls.read(settings))
    request.addfinalizer(reloads.close)
    assert not reloads.wants_reload()
    for name in ("tls.crt", "tls.key"):
        (own.directory / name).unlink()
    written(own.directory, ec.generate_private_key(ec.SECP256R1()))
    assert reloads.wants_reload()
    reloads.refuse("the store was away")
    assert not reloads.wants_reload()
    begins = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begins + reload.AGAIN_EVERY + 1)
    assert reloads.wants_reload()
    assert reloads.read() is not None
    reloads.accept()
    assert not reloads.wants_reload()


def test_doctor_looks_at_the_pair(own: Deployment) -> None:
    """A key that others can read, and an end that is near, are found before a restart does."""
    _cert, key = written(own.directory, ec.generate_private_key(ec.SECP256R1()))
    pairs = 'engine = "granian"\ntls_cert = "tls.crt"\ntls_key = "tls.key"\n[store]'
    own.config.write_text(own.config.read_text().replace("[store]", pairs))
    key.chmod(0o644)
    told = program(own, "doctor")
    assert told.returncode == 78
    assert "chmod 600" in told.stdout
    key.chmod(0o600)
    told = program(own, "--json", "doctor")
    (found,) = [one for one in json.loads(told.stdout) if one["check"] == "certificate"]
    assert (found["state"], found["found"]) == ("wrong", "9 days left")
