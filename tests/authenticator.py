"""A software authenticator and its browser, which can do each step of a ceremony wrong."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

UP, UV, BE, BS, AT = 1, 4, 8, 16, 64
ORIGIN = "http://localhost:8440"
RP_ID = "localhost"


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One passkey. `flags` are what it says of itself besides presence and verification."""

    def __init__(self, algorithm: str = "ES256", *, attestation: str = "none", flags: int = 0):
        self.algorithm, self.attestation, self.flags = algorithm, attestation, flags
        self.credential_id = os.urandom(32)
        self.count = 0
        self.user_handle = b""
        self.key: Any = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }[algorithm]()

    # --- the ceremonies

    def create(self, options: dict[str, Any], **wrong: Any) -> dict[str, Any]:
        """A RegistrationResponseJSON for the options. Each keyword does one thing wrong."""
        public = options["publicKey"]
        self.user_handle = unb64(public["user"]["id"])
        client_data = self.client_data("webauthn.create", public["challenge"], wrong)
        attested_id = wrong.get("attested_id", self.credential_id)
        attested = bytes(16) + len(attested_id).to_bytes(2, "big") + attested_id
        attested += wrong.get("cose", self.cose())
        data = self.data(wrong, AT | UV) + attested
        statement: dict[str, Any] = {}
        if self.attestation == "packed":
            signed = self.sign(data + hashlib.sha256(client_data).digest())
            statement = {"alg": wrong.get("statement_alg", self.cose_alg), "sig": signed}
            if wrong.get("bad_statement"):
                statement["sig"] = self.sign(b"something else")
        statement = wrong.get("statement", statement)
        made = {"fmt": wrong.get("fmt", self.attestation), "attStmt": statement, "authData": data}
        raw = wrong.get("attestation_object", cbor2.dumps(made))
        sent_id = b64(wrong.get("credential_id", self.credential_id))
        return {
            "id": sent_id,
            "rawId": sent_id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": True}},
            "response": {
                "clientDataJSON": b64(client_data),
                "attestationObject": b64(raw),
                "transports": ["internal"],
                "publicKeyAlgorithm": self.cose_alg,
            },
        }

    def get(self, options: dict[str, Any], **wrong: Any) -> dict[str, Any]:
        """An AuthenticationResponseJSON for the options. Each keyword does one thing wrong."""
        client_data = self.client_data("webauthn.get", options["publicKey"]["challenge"], wrong)
        self.count += 1
        data = self.data(wrong, UV)
        signature = self.sign(data + hashlib.sha256(client_data).digest())
        if wrong.get("bad_signature"):
            signature = self.sign(b"something else")
        sent_id = b64(wrong.get("credential_id", self.credential_id))
        response = {
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(wrong.get("signature", signature)),
            "userHandle": None,
        }
        handle = wrong.get("user_handle", self.user_handle)
        if handle is not None:
            response["userHandle"] = b64(handle)
        return {
            "id": sent_id,
            "rawId": sent_id,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": response,
        }

    # --- the parts

    def client_data(self, kind: str, challenge: str, wrong: dict[str, Any]) -> bytes:
        collected = {
            "type": wrong.get("type", kind),
            "challenge": wrong.get("challenge", challenge),
            "origin": wrong.get("origin", ORIGIN),
            "crossOrigin": wrong.get("cross_origin", False),
        }
        if "top_origin" in wrong:
            collected["topOrigin"] = wrong["top_origin"]
        raw = json.dumps(collected).encode()
        return bytes(wrong.get("client_data", lambda one: one)(raw))

    def data(self, wrong: dict[str, Any], more: int) -> bytes:
        flags = (UP | self.flags | more) & ~wrong.get("without", 0) | wrong.get("with_flags", 0)
        rp_id_hash = hashlib.sha256(wrong.get("rp_id", RP_ID).encode()).digest()
        count = wrong.get("count", self.count)
        return rp_id_hash + bytes([flags]) + int(count).to_bytes(4, "big") + wrong.get("tail", b"")

    @property
    def cose_alg(self) -> int:
        return {"ES256": -7, "EdDSA": -8, "RS256": -257}[self.algorithm]

    def cose(self, **other: Any) -> bytes:
        """The public key as COSE."""
        public = self.key.public_key()
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            x, y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
            key = {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        elif self.algorithm == "EdDSA":
            key = {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        else:
            numbers = public.public_numbers()
            size = public.key_size // 8
            key = {1: 3, 3: -257, -1: numbers.n.to_bytes(size, "big"), -2: b"\x01\x00\x01"}
        return cbor2.dumps(key | other.get("members", {}))

    def sign(self, message: bytes) -> bytes:
        if self.algorithm == "ES256":
            return bytes(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        if self.algorithm == "EdDSA":
            return bytes(self.key.sign(message))
        return bytes(self.key.sign(message, padding.PKCS1v15(), hashes.SHA256()))
