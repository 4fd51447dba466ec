"""The shapes of the OAuth 2 endpoints: forms in, JSON out (RFC 6749, 7009, 7662, 8414)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=8192)]


class ClientForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a client proves who it is, where it does not by a header."""

    client_id: Text = ""
    client_secret: Text = ""
    client_assertion_type: Text = ""
    client_assertion: Text = ""


class TokenForm(ClientForm, frozen=True, kw_only=True):
    """A grant. `resource` may stand repeatedly (RFC 8707)."""

    grant_type: Text = ""
    scope: Text = ""
    resource: list[str] = []
    refresh_token: Text = ""


class PresentedForm(ClientForm, frozen=True, kw_only=True):
    """A token to look at, or to give up. The hint is not needed to find it."""

    token: Text = ""
    token_type_hint: Text = ""


class TokenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a grant gives. `expires_in` in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str = ""
    scope: str = ""


class Introspection(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token stands for now; `active` alone when it stands for nothing. Times in seconds."""

    active: bool
    scope: str = ""
    client_id: str = ""
    username: str = ""
    token_type: str = ""
    exp: int | None = None
    iat: int | None = None
    nbf: int | None = None
    sub: str = ""
    aud: str = ""
    iss: str = ""
    jti: str = ""
    cnf: dict[str, str] = {}


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """Authorization server metadata (RFC 8414): what works here, and no more."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    introspection_endpoint: str
    revocation_endpoint: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_signing_alg_values_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_signing_alg_values_supported: list[str]
    access_token_signing_alg_values_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
