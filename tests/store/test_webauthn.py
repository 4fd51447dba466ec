"""The test vectors of WebAuthn Level 3 against our verifier, each with what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatebook.domain.ceremonies import ShownAssertion, ShownAttestation
from gatebook.domain.errors import InvalidCredentials
from gatebook.store.setting_sections import Server, WebAuthn
from gatebook.store.settings import Settings
from gatebook.store.webauthn import WebAuthnCeremonies

SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "webauthn_l3.json"
if not SHARED.exists():
    pytest.skip("the shared vectors are not beside this project", allow_module_level=True)
FILE = json.loads(SHARED.read_text())
VECTORS = {vector["name"]: vector for vector in FILE["vectors"]}
GOOD = {
    "none-es256": "none",
    "packed-self-es256": "packed",
    "none-es256-long-credential-id": "none",
    "packed-es256": "packed",
    "packed-rs256": "packed",
    "packed-eddsa": "packed",
}
"""What is accepted here, and the format that is recorded."""

CEREMONIES = WebAuthnCeremonies(FILE["rp_id"], [FILE["origin"]])


def attestation(name: str, **other: bytes) -> ShownAttestation:
    reg = VECTORS[name]["reg"]
    parts = {
        "credential_id": bytes.fromhex(reg["credential_id"]),
        "client_data": bytes.fromhex(reg["clientDataJSON"]),
        "attestation_object": bytes.fromhex(reg["attestationObject"]),
    }
    return ShownAttestation(**(parts | other), transports=())


def assertion(name: str, **other: bytes) -> ShownAssertion:
    auth = VECTORS[name]["auth"]
    parts = {
        "credential_id": bytes.fromhex(VECTORS[name]["reg"]["credential_id"]),
        "client_data": bytes.fromhex(auth["clientDataJSON"]),
        "authenticator_data": bytes.fromhex(auth["authenticatorData"]),
        "signature": bytes.fromhex(auth["signature"]),
    }
    return ShownAssertion(**(parts | other), user_handle=None)


def flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


@pytest.mark.parametrize("name", GOOD)
def test_vectors_pass(name: str) -> None:
    """Registration and sign-in of a vector verify, under its own challenges."""
    shown = attestation(name)
    attested = CEREMONIES.attested(shown)
    challenge = CEREMONIES.challenge_of(shown.client_data)

    assert challenge == bytes.fromhex(VECTORS[name]["reg"]["challenge"])
    assert attested.attestation == GOOD[name]
    assert attested.aaguid.replace("-", "") == VECTORS[name]["reg"]["aaguid"]
    found = CEREMONIES.asserted(assertion(name), attested.public_key)
    assert found is not None
    assert found.backup_eligible == attested.backup_eligible


@pytest.mark.parametrize("name", sorted(set(VECTORS) - set(GOOD)))
def test_vectors_beyond_what_is_asked_for(name: str) -> None:
    """Frames of others, algorithms that were not asked for, makers without a known root."""
    with pytest.raises(InvalidCredentials):
        CEREMONIES.attested(attestation(name))


@pytest.mark.parametrize("name", GOOD)
def test_altered_registrations(name: str) -> None:
    """Another relying party or origin, an altered or shortened part: refused."""
    good = attestation(name)
    for ceremonies in (
        WebAuthnCeremonies("example.com", [FILE["origin"]]),
        WebAuthnCeremonies(FILE["rp_id"], ["https://example.org:8443"]),
        WebAuthnCeremonies(FILE["rp_id"], []),
    ):
        with pytest.raises(InvalidCredentials):
            ceremonies.attested(good)
    raw = good.attestation_object
    for other in (
        {"credential_id": b"x" * 32},
        {"credential_id": b""},
        {"attestation_object": raw[:-1]},
        {"attestation_object": raw + b"\x00"},
        {"client_data": good.client_data.replace(b"webauthn.create", b"webauthn.get")},
        {"client_data": good.client_data[1:]},
    ):
        with pytest.raises(InvalidCredentials):
            CEREMONIES.attested(attestation(name, **other))


@pytest.mark.parametrize("name", GOOD)
def test_altered_assertions(name: str) -> None:
    """Nothing but the very bytes that were signed, by the very key, is a signature."""
    key = CEREMONIES.attested(attestation(name)).public_key
    good = assertion(name)
    for other in (
        {"signature": flipped(good.signature, -1)},
        {"signature": good.signature[:-1]},
        {"signature": b""},
        {"authenticator_data": flipped(good.authenticator_data, 36)},
        {"authenticator_data": flipped(good.authenticator_data, 0)},
        {"client_data": good.client_data + b" "},
    ):
        try:
            assert CEREMONIES.asserted(assertion(name, **other), key) is None
        except InvalidCredentials:
            continue


@pytest.mark.parametrize("name", GOOD)
def test_anothers_key(name: str) -> None:
    """A signature does not verify under another passkey's key."""
    foreign = next(CEREMONIES.attested(attestation(one)).public_key for one in GOOD if one != name)
    try:
        verified = CEREMONIES.asserted(assertion(name), foreign)
    except InvalidCredentials:
        verified = None  # a signature of another form is no signature at all
    assert verified is None


@pytest.mark.parametrize("name", GOOD)
def test_every_flipped_bit_of_the_signed_data(name: str) -> None:
    """No single bit of the authenticator's data may differ."""
    key = CEREMONIES.attested(attestation(name)).public_key
    data = assertion(name).authenticator_data
    for place in range(len(data)):
        try:
            found = CEREMONIES.asserted(
                assertion(name, authenticator_data=flipped(data, place)), key
            )
        except InvalidCredentials:
            continue
        assert found is None


@pytest.mark.parametrize(
    ("public_url", "rp_id", "found"),
    [
        ("", "", ("", ["http://127.0.0.1:8440"])),
        ("http://localhost:8440", "", ("localhost", ["http://localhost:8440"])),
        ("https://id.example.org/", "", ("id.example.org", ["https://id.example.org"])),
        ("https://id.example.org/auth", "example.org", ("example.org", ["https://id.example.org"])),
        ("https://[2001:db8::1]:8443", "", ("", ["https://[2001:db8::1]:8443"])),
        ("https://10.0.0.1", "10.0.0.1", ("", ["https://10.0.0.1"])),
    ],
)
def test_whom_passkeys_are_bound_to(public_url: str, rp_id: str, found: tuple[str, list[str]]):
    """The configured name, or the public URL's; an IP address is none."""
    settings = Settings(server=Server(public_url=public_url), webauthn=WebAuthn(rp_id=rp_id))
    assert (settings.rp_id, settings.passkey_origins) == found
