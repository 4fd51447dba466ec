"""WebAuthn Level 3: what the bytes of the two ceremonies can tell, over the library `webauthn`.

The library verifies types, origins, the relying party, flags, attestation statements and
signatures. The rest of sections 7.1 and 7.2 is done here, named by its step, or by whoever calls:
the challenge (7.1 step 8, 7.2 step 11), whose passkey it is (7.1 step 27, 7.2 steps 5 and 6), and
what changed since its last use (7.2 steps 17, 19, 20, 24 and 25).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from io import BytesIO
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    bytes_to_base64url,
    parse_attestation_object,
    parse_authenticator_data,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    RegistrationCredential,
)

from gatebook.domain.ceremonies import Attested, ShownAssertion, ShownAttestation
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.passkey import LONGEST_ID, Assertion

ALGORITHMS: Final = (
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
"""In the order they are asked for."""

SMALLEST_RSA: Final = 256
"""Bytes of a modulus."""

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KTY, _ALG, _CRV, _X, _Y = 1, 3, -1, -2, -3
_N = -1


class WebAuthnCeremonies:
    """The `Ceremonies` port, for one relying party."""

    def __init__(self, rp_id: str, origins: list[str]) -> None:
        self._rp_id = rp_id
        self._origins = origins

    def challenge_of(self, client_data: bytes) -> bytes:
        """The challenge that a browser answered. Raises InvalidCredentials."""
        challenge = _client_data(client_data)["challenge"]
        if not isinstance(challenge, str) or _BASE64URL.fullmatch(challenge) is None:
            raise InvalidCredentials("The challenge is not base64url (7.1 step 8, 7.2 step 11).")
        try:
            return urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4))
        except ValueError as error:
            raise InvalidCredentials("The challenge is not base64url.") from error

    def attested(self, shown: ShownAttestation) -> Attested:
        """Section 7.1, steps 5 to 26. Raises InvalidCredentials."""
        self._check_frames(shown.client_data)
        if not 1 <= len(shown.credential_id) <= LONGEST_ID:
            raise InvalidCredentials("The credential's id is too long (7.1 step 26).")
        response = AuthenticatorAttestationResponse(shown.client_data, shown.attestation_object)
        credential = RegistrationCredential(
            id=bytes_to_base64url(shown.credential_id),
            raw_id=shown.credential_id,
            response=response,
        )
        try:
            # Steps 7, 9 and 13 to 23; user verification is asked by the caller (step 16).
            verified = verify_registration_response(
                credential=credential,
                expected_challenge=self.challenge_of(shown.client_data),
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                require_user_presence=True,
                require_user_verification=False,
                supported_pub_key_algs=list(ALGORITHMS),
            )
            _check_whole(shown.attestation_object)
            flags = parse_attestation_object(shown.attestation_object).auth_data.flags
            _check_key(verified.credential_public_key)
        except InvalidCredentials:
            raise
        except Exception as error:
            # Whatever a malformed response makes a parser raise, it is a refusal.
            raise InvalidCredentials(f"The registration is refused: {error}") from error
        if verified.credential_id != shown.credential_id:
            raise InvalidCredentials("Another credential was attested than was sent.")
        return Attested(
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            backup_eligible=flags.be,
            backed_up=flags.bs,
            user_verified=verified.user_verified,
            aaguid=verified.aaguid,
            attestation=str(getattr(verified.fmt, "value", verified.fmt)),
        )

    def asserted(self, shown: ShownAssertion, public_key: bytes) -> Assertion | None:
        """Section 7.2, steps 8 to 18 and 21 to 23. Raises InvalidCredentials."""
        self._check_frames(shown.client_data)
        response = AuthenticatorAssertionResponse(
            shown.client_data, shown.authenticator_data, shown.signature
        )
        credential = AuthenticationCredential(
            id=bytes_to_base64url(shown.credential_id),
            raw_id=shown.credential_id,
            response=response,
        )
        try:
            # Steps 10, 12, 15, 16, 18, 22 and 23. The count is compared once the signature is
            # known to be right (step 24), so none is given here: the library would ask it first.
            verify_authentication_response(
                credential=credential,
                expected_challenge=self.challenge_of(shown.client_data),
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=False,
            )
            data = parse_authenticator_data(shown.authenticator_data)
        except InvalidCredentials:
            raise
        except Exception as error:
            if isinstance(error.__context__, InvalidSignature):
                return None
            # Whatever a malformed response makes a parser raise, it is a refusal.
            raise InvalidCredentials(f"The assertion is refused: {error}") from error
        return Assertion(
            sign_count=data.sign_count,
            backup_eligible=data.flags.be,
            backed_up=data.flags.bs,
            user_verified=data.flags.uv,
        )

    def _check_frames(self, client_data: bytes) -> None:
        """No passkey of ours is made or used inside a frame of another origin's page."""
        collected = _client_data(client_data)
        if collected.get("crossOrigin", False) is not False:
            raise InvalidCredentials("It comes from another's frame (7.1 step 10, 7.2 step 13).")
        if "topOrigin" in collected:
            raise InvalidCredentials("It comes from another's page (7.1 step 11, 7.2 step 14).")


def _client_data(raw: bytes) -> dict[str, Any]:
    """Steps 5 and 6 of section 7.1, 8 and 9 of section 7.2: JSON in UTF-8, each member once."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member stands twice")
        return members

    try:
        collected = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InvalidCredentials(f"The client data is no JSON: {error}") from error
    if not isinstance(collected, dict) or not {"type", "challenge", "origin"} <= set(collected):
        raise InvalidCredentials("The client data lacks a member.")
    return collected


def _check_whole(encoded: bytes) -> None:
    """Section 7.1, step 13: one CBOR item, and nothing behind it."""
    stream = BytesIO(encoded)
    cbor2.CBORDecoder(stream, read_size=1).decode()
    if stream.read(1):
        raise InvalidCredentials("Something stands behind the attestation (7.1 step 13).")


def _check_key(encoded: bytes) -> None:
    """Section 5.8.5: each algorithm with the one kind of key that it is for."""
    key = cbor2.loads(encoded)
    if not isinstance(key, dict):
        raise InvalidCredentials("The public key is no COSE key.")
    kind = (key.get(_KTY), key.get(_ALG))
    if kind == (2, -7):
        good = key.get(_CRV) == 1 and len(key[_X]) == len(key[_Y]) == 32
    elif kind == (1, -8):
        good = key.get(_CRV) == 6 and len(key[_X]) == 32
    elif kind == (3, -257):
        good = len(key[_N].lstrip(b"\0")) >= SMALLEST_RSA
    else:
        good = False
    if not good:
        raise InvalidCredentials("The key does not fit its algorithm (7.1 step 20).")
