"""The shapes of passkeys: the JSON of WebAuthn Level 3, section 5.1.8 to 5.1.10.

What a browser writes is read by the members that count here; it may write others, of extensions
that nobody asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Request
from gatebook.api.second_factor_schemas import MfaToken

Base64Url = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", min_length=2, max_length=40_000)]
CredentialId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", min_length=2, max_length=1364)]
Word = Annotated[str, Meta(max_length=32)]

# --- options


class RelyingParty(msgspec.Struct, frozen=True):
    """PublicKeyCredentialRpEntity."""

    id: str
    name: str


class UserEntity(msgspec.Struct, frozen=True, rename="camel"):
    """PublicKeyCredentialUserEntityJSON. `id` is the account's, as 16 bytes."""

    id: str
    name: str
    display_name: str


class Algorithm(msgspec.Struct, frozen=True):
    """PublicKeyCredentialParameters."""

    alg: int
    type: Literal["public-key"] = "public-key"


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True):
    """PublicKeyCredentialDescriptorJSON."""

    id: str
    type: str
    transports: list[str] = []


class Selection(msgspec.Struct, frozen=True, rename="camel"):
    """AuthenticatorSelectionCriteria: discoverable, with user verification."""

    resident_key: Literal["required"] = "required"
    require_resident_key: bool = True
    user_verification: Literal["required"] = "required"


class CreationOptions(msgspec.Struct, frozen=True, rename="camel"):
    """PublicKeyCredentialCreationOptionsJSON. `timeout` in milliseconds."""

    rp: RelyingParty
    user: UserEntity
    challenge: str
    pub_key_cred_params: list[Algorithm]
    timeout: int
    exclude_credentials: list[Descriptor]
    authenticator_selection: Selection
    attestation: Literal["none"]


class RequestOptions(msgspec.Struct, frozen=True, rename="camel"):
    """PublicKeyCredentialRequestOptionsJSON. `timeout` in milliseconds."""

    challenge: str
    timeout: int
    rp_id: str
    allow_credentials: list[Descriptor]
    user_verification: Literal["required", "preferred"]


class Creation(msgspec.Struct, frozen=True, rename="camel"):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON`."""

    public_key: CreationOptions


class Use(msgspec.Struct, frozen=True, rename="camel"):
    """For `PublicKeyCredential.parseRequestOptionsFromJSON`."""

    public_key: RequestOptions


# --- responses


class AttestationResponse(msgspec.Struct, frozen=True):
    """AuthenticatorAttestationResponseJSON."""

    client_data: Base64Url = msgspec.field(name="clientDataJSON")
    attestation_object: Base64Url = msgspec.field(name="attestationObject")
    transports: Annotated[list[Word], Meta(max_length=16)] = []


class AssertionResponse(msgspec.Struct, frozen=True):
    """AuthenticatorAssertionResponseJSON."""

    client_data: Base64Url = msgspec.field(name="clientDataJSON")
    authenticator_data: Base64Url = msgspec.field(name="authenticatorData")
    signature: Base64Url
    user_handle: Base64Url | None = msgspec.field(name="userHandle", default=None)


class NewCredential(msgspec.Struct, frozen=True):
    """RegistrationResponseJSON."""

    id: CredentialId
    raw_id: CredentialId = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: AttestationResponse


class UsedCredential(msgspec.Struct, frozen=True):
    """AuthenticationResponseJSON."""

    id: CredentialId
    raw_id: CredentialId = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: AssertionResponse


class Registration(Request, frozen=True):
    """What the browser made of the options, and what its owner calls it."""

    credential: NewCredential
    name: Annotated[str, Meta(max_length=64)] = ""


class LoginOptions(Request, frozen=True):
    """The token of a sign-in that waits for its second factor, if it is that."""

    mfa_token: MfaToken | None = None


class PasskeyLogin(Request, frozen=True):
    """What the browser made of the options, with the same token as they were asked for."""

    credential: UsedCredential
    mfa_token: MfaToken | None = None


class Passkey(msgspec.Struct, frozen=True):
    """A passkey of one's own."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    backed_up: bool


class AccountCredential(msgspec.Struct, frozen=True):
    """A credential of an account: its kind and dates, never a secret."""

    id: UUID
    kind: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    name: str | None
