"""The shapes of federation: providers, group mappings, and the steps of a federated sign-in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gatebook.api.schemas import Request

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Secret = Annotated[str, Meta(min_length=1, max_length=2000)]
ClientAuth = Literal["client_secret_basic", "client_secret_post"]
Window = Annotated[int, Meta(ge=1, le=600)]
"""Seconds."""


class NewProvider(Request, frozen=True):
    """A provider. `groups_claim` is a dotted path, or a URL that is the claim's own name."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    issuer: Text
    client_id: Text
    client_secret: Secret
    client_auth: ClientAuth = "client_secret_basic"
    scopes: Annotated[tuple[Text, ...], Meta(max_length=30)] = ("openid", "profile", "email")
    groups_claim: Annotated[str, Meta(min_length=1, max_length=200)] = "groups"
    fetch_userinfo: bool = False
    allowed_domains: Annotated[tuple[Text, ...], Meta(max_length=100)] = ()
    create_accounts: bool = True
    enabled: bool = True
    iat_window: Window = 300
    at_hash_required: bool = True


class ProviderChanges(Request, frozen=True):
    """What changes; whatever is left out stays, the secret too."""

    name: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType = UNSET
    client_id: Text | UnsetType = UNSET
    client_secret: Secret | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType = UNSET
    scopes: Annotated[tuple[Text, ...], Meta(max_length=30)] | UnsetType = UNSET
    groups_claim: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    fetch_userinfo: bool | UnsetType = UNSET
    allowed_domains: Annotated[tuple[Text, ...], Meta(max_length=100)] | UnsetType = UNSET
    create_accounts: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    iat_window: Window | UnsetType = UNSET
    at_hash_required: bool | UnsetType = UNSET


class Provider(msgspec.Struct, frozen=True):
    """A provider as configured. The client secret is never shown."""

    id: UUID
    name: str
    issuer: str
    client_id: str
    client_auth: str
    scopes: tuple[str, ...]
    groups_claim: str
    fetch_userinfo: bool
    allowed_domains: tuple[str, ...]
    create_accounts: bool
    enabled: bool
    iat_window: int
    at_hash_required: bool
    linked_accounts: int
    login_url: str
    redirect_uri: str
    version: int


class Step(msgspec.Struct, frozen=True):
    """One step of a dry run, and what came of it."""

    step: str
    ok: bool
    detail: str


class Trial(msgspec.Struct, frozen=True):
    """A dry run: `ok` when every step is."""

    ok: bool
    steps: list[Step]


class Refreshed(msgspec.Struct, frozen=True):
    """What the provider publishes now."""

    issuer: str
    algorithms: list[str]
    keys: list[str]
    iss_parameter: bool
    back_channel_logout: bool


class NewMapping(Request, frozen=True):
    """A provider's group and the role it stands for."""

    provider_id: UUID
    group: Text
    role: Annotated[str, Meta(min_length=1, max_length=63)]


class Mapping(msgspec.Struct, frozen=True):
    """A group mapping in force."""

    id: UUID
    provider_id: UUID
    group: str
    role: str
    created_at: datetime


class Identity(msgspec.Struct, frozen=True):
    """An identity at a provider that is linked to an account. Who it is there is not shown."""

    id: UUID
    provider_id: UUID
    linked_at: datetime


class LoginQuery(Request, frozen=True):
    """Which provider, and where to go afterwards: a path of this site."""

    provider: UUID
    return_to: Annotated[str, Meta(max_length=2000)] = ""


class CallbackQuery(msgspec.Struct, frozen=True):
    """What a provider sends the browser back with (RFC 6749, 4.1.2; RFC 9207). It may add more."""

    state: Annotated[str, Meta(max_length=500)] | None = None
    code: Annotated[str, Meta(max_length=4000)] | None = None
    iss: Annotated[str, Meta(max_length=500)] | None = None
    error: Annotated[str, Meta(max_length=500)] | None = None


class LogoutForm(msgspec.Struct, frozen=True):
    """A logout token (OpenID Connect Back-Channel Logout 1.0, section 2.5)."""

    logout_token: Annotated[str, Meta(max_length=65_536)]
