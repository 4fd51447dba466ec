"""What happens at the door of a provider: sign-ins begun there, refused here, ended from there."""

from __future__ import annotations

from typing import Final, Literal, get_args
from uuid import UUID

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

MAX_FAILURES_AN_HOUR: Final = 1_000
"""Refused sign-ins of one provider recorded one by one in an hour."""

Reason = Literal[
    "access_denied",
    "provider_error",
    "pre_login_missing",
    "pre_login_expired",
    "pre_login_spent",
    "pre_login_client_mismatch",
    "state_mismatch",
    "iss_param_missing",
    "iss_param_mismatch",
    "provider_disabled",
    "discovery_failed",
    "token_endpoint_failed",
    "id_token_missing",
    "id_token_malformed",
    "alg_rejected",
    "signature_invalid",
    "jwks_unreachable",
    "unknown_key",
    "id_token_iss_mismatch",
    "audience_mismatch",
    "azp_mismatch",
    "token_expired",
    "iat_window",
    "nonce_mismatch",
    "at_hash_missing",
    "at_hash_mismatch",
    "subject_missing",
    "userinfo_failed",
    "userinfo_sub_mismatch",
    "groups_missing",
    "groups_malformed",
    "unmapped_groups",
    "email_missing",
    "email_not_verified",
    "email_domain_not_allowed",
    "account_creation_disabled",
    "account_inactive",
    "account_deleted",
    "conflict",
]
"""Why a federated sign-in was refused: the log says it, the browser is told one thing for all."""

REASONS: Final = frozenset(get_args(Reason))


class FederatedLoginFailed(Event, frozen=True):
    """A sign-in with a provider was refused. `account_id` once it is known whose it was."""

    TOPIC = "federated_login.failed.1"
    STREAM = "federated-failures"
    provider_id: UUID | None
    reason: str
    account_id: UUID | None = None


class FederatedLoginCompleted(Event, frozen=True):
    """A sign-in that was begun with a provider came back, once. Its stream is the sign-in's own."""

    TOPIC = "federated_login.completed.1"
    STREAM = "federated-login"
    account_id: UUID
    provider_id: UUID


class ProviderLogoutReceived(Event, frozen=True):
    """A provider's logout token was heeded, once (Back-Channel Logout 1.0, section 2.6).

    It stands in the same append as the ends of the sessions, so a retry after a failure counts.
    """

    TOPIC = "provider.logout_received.1"
    STREAM = "logout-token"
    provider_id: UUID
    sessions: int


def failures_stream_id(provider_id: UUID | None, hour: int) -> UUID:
    """One stream a provider and hour, so that none grows without bound."""
    whose = provider_id.bytes if provider_id is not None else b""
    return uuid8(b"federated-failures", whose, hour.to_bytes(8, "big"))


def login_stream_id(state: bytes) -> UUID:
    """The stream of one sign-in that was begun: it can be completed once."""
    return uuid8(b"federated-login", state)


def logout_stream_id(provider_id: UUID, jti: str) -> UUID:
    """The stream of one logout token: it can be heeded once."""
    return uuid8(b"logout-token", provider_id.bytes, jti.encode())
