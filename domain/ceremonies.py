"""The ceremonies of passkeys (WebAuthn Level 3), as their verifier is asked for them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gatebook.domain.passkey import Assertion


class ShownAttestation(msgspec.Struct, frozen=True):
    """What a browser says of a passkey it made (RegistrationResponseJSON), in bytes."""

    credential_id: bytes
    client_data: bytes
    attestation_object: bytes
    transports: tuple[str, ...]


class ShownAssertion(msgspec.Struct, frozen=True):
    """What a browser says of a passkey it used (AuthenticationResponseJSON), in bytes."""

    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None


class Attested(msgspec.Struct, frozen=True):
    """A new passkey, as its authenticator vouches for it. `attestation` is the format."""

    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool
    aaguid: str
    attestation: str


class Ceremonies(Protocol):
    """The two ceremonies of WebAuthn Level 3, without state: what the bytes alone can tell."""

    def challenge_of(self, client_data: bytes) -> bytes:
        """The challenge that a browser answered. Raises InvalidCredentials for malformed data."""
        ...

    def attested(self, shown: ShownAttestation) -> Attested:
        """Section 7.1, steps 5 to 26. The challenge is the caller's to check.

        Raises InvalidCredentials with the step that failed.
        """
        ...

    def asserted(self, shown: ShownAssertion, public_key: bytes) -> Assertion | None:
        """Section 7.2, steps 8 to 18 and 21 to 23. The challenge is the caller's to check.

        None: all is well but the signature. Raises InvalidCredentials with the step that failed.
        """
        ...
