"""Errors of the OAuth 2 endpoints, as RFC 6749 section 5.2 has them."""

from __future__ import annotations

from typing import Final

import msgspec

from gatebook.api.problems import Problem

INVALID_REQUEST: Final = "invalid_request"

_BY_SLUG: Final = {
    "invalid-dpop-proof": "invalid_dpop_proof",
    "unauthenticated": "invalid_token",
    "store-unavailable": "temporarily_unavailable",
    "overloaded": "temporarily_unavailable",
    "too-many-attempts": "temporarily_unavailable",
    "conflict": "temporarily_unavailable",
    "internal-error": "server_error",
}
"""What a problem is called there; any other is an invalid request."""


class OAuthErrorDocument(msgspec.Struct, frozen=True):
    """An error, as sent."""

    error: str
    error_description: str


class OAuthError(Exception):
    """A request that an OAuth 2 endpoint refuses."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.headers = headers or {}


def of_problem(problem: Problem) -> OAuthError:
    """A problem, told in the words of OAuth 2."""
    error = _BY_SLUG.get(problem.slug, INVALID_REQUEST)
    return OAuthError(error, problem.detail, status=problem.status, headers=problem.headers)


def document(error: OAuthError) -> OAuthErrorDocument:
    """The document of an error: printable ASCII without quotes (RFC 6749, 5.2)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in error.description)
    return OAuthErrorDocument(error.error, plain)
