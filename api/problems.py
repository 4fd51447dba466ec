"""What a refusal says on the wire: RFC 9457 problem documents, from one table.

A refusal knows the truth of its cause; the wire may say less.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gatebook.domain import errors
from gatebook.domain.federated_claims import FederationRefused


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request. `pointer` is a JSON pointer into it."""

    pointer: str
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem, as sent."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] = []
    permission: str | None = None
    mfa_token: str | None = None
    methods: list[str] = []


class Problem(Exception):
    """A request that the API itself turns down. `slug` names a row of PROBLEMS."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        faults: list[Fault] | None = None,
        permission: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.headers = headers or {}
        self.faults = faults or []
        self.permission = permission
        self.mfa_token: str | None = None
        self.methods: list[str] = []
        self.cookies: list[str] = []

    @property
    def status(self) -> int:
        """The HTTP status."""
        return PROBLEMS[self.slug][0]


PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "invalid-request": (400, "The request is not valid"),
    "invalid-dpop-proof": (400, "The DPoP proof is refused"),
    "weak-password": (400, "The password is refused"),
    "provider-unusable": (400, "The identity provider cannot be used"),
    "unauthenticated": (401, "Authentication is needed"),
    "invalid-credentials": (401, "The credentials are wrong"),
    "mfa-required": (401, "A second factor is needed"),
    "forbidden": (403, "A permission is lacking"),
    "csrf": (403, "The CSRF token is missing or wrong"),
    "stale-sign-in": (403, "A fresh sign-in is needed"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "request-timeout": (408, "The request took too long to arrive"),
    "conflict": (409, "It does not fit the present state"),
    "last-admin": (409, "The last administrator must stay"),
    "self-lockout": (409, "You would shut yourself out"),
    "username-taken": (409, "The username is taken"),
    "seat-taken": (410, "The first administrator exists already"),
    "stale-version": (412, "The resource has changed meanwhile"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "JSON is needed"),
    "too-many-attempts": (429, "Too many attempts"),
    "idempotency-mismatch": (422, "The Idempotency-Key was used with another request"),
    "headers-too-large": (431, "The headers are too large"),
    "internal-error": (500, "Something went wrong here"),
    "not-implemented": (501, "This is not implemented"),
    "overloaded": (503, "Too much is waiting"),
    "store-unavailable": (503, "The store is unavailable"),
    "http-version": (505, "This HTTP version is not spoken here"),
}
"""Slug to status and title. Slugs are never renamed: clients match them."""

REFUSALS: Final[dict[type[errors.Refusal], str]] = {
    errors.NotFound: "not-found",
    errors.InvalidValue: "invalid-request",
    errors.UsernameTaken: "username-taken",
    errors.GrantRefused: "invalid-request",
    errors.WeakPassword: "weak-password",
    errors.InvalidCredentials: "invalid-credentials",
    errors.MfaRequired: "mfa-required",
    errors.StaleSignIn: "stale-sign-in",
    errors.Forbidden: "forbidden",
    errors.LastAdmin: "last-admin",
    errors.SelfLockout: "self-lockout",
    errors.Conflict: "conflict",
    errors.StaleVersion: "stale-version",
    errors.SeatTaken: "seat-taken",
    errors.IdempotencyMismatch: "idempotency-mismatch",
    FederationRefused: "provider-unusable",
    errors.Overloaded: "overloaded",
    errors.StoreUnavailable: "store-unavailable",
}

BEARER: Final = {"WWW-Authenticate": "Bearer"}

_UNIFORM: Final = {
    "invalid-credentials": "The name, the password or the code is wrong.",
    "store-unavailable": "The store cannot be reached. Try again.",
}
"""Where the truth stays here: one sentence, whatever the cause."""


def of_refusal(refusal: errors.Refusal) -> Problem:
    """The problem that a refusal is told as."""
    slug = REFUSALS[type(refusal)]
    headers: dict[str, str] = {}
    faults: list[Fault] = []
    permission = None
    match refusal:
        case errors.InvalidValue(pointer=pointer, detail=detail):
            faults = [Fault(pointer, detail)]
        case errors.InvalidCredentials() | errors.MfaRequired():
            headers = BEARER
        case errors.Forbidden(permission=lacking):
            permission = lacking
        case errors.Overloaded(retry_after=seconds) | errors.StoreUnavailable(retry_after=seconds):
            headers = {"Retry-After": str(seconds)}
        case _:
            pass
    detail = _UNIFORM.get(slug, refusal.detail)
    problem = Problem(slug, detail, headers=headers, faults=faults, permission=permission)
    if isinstance(refusal, errors.MfaRequired):
        problem.mfa_token, problem.methods = refusal.mfa_token, refusal.methods
    return problem


def unauthenticated(cause: str = "") -> Problem:
    """No token, or none that counts: told alike, whatever was wrong with it.

    For a session cookie the cause stands in the header (RFC 6750, section 3): only its own browser
    has one that is authentic.
    """
    detail = "A valid bearer token or session cookie is needed."
    if not cause:
        return Problem("unauthenticated", detail, headers=BEARER)
    told = f'Bearer error="invalid_token", error_description="{cause}"'
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": told})


def invalid(detail: str, pointer: str = "") -> Problem:
    """A request that can never be right."""
    return Problem("invalid-request", detail, faults=[Fault(pointer, detail)])


def document(problem: Problem, base: str, request_id: str) -> ProblemDocument:
    """The document of a problem. `base` is what the type URIs begin with."""
    status, title = PROBLEMS[problem.slug]
    return ProblemDocument(
        type=base + problem.slug,
        title=title,
        status=status,
        detail=problem.detail,
        request_id=request_id,
        errors=problem.faults,
        permission=problem.permission,
        mfa_token=problem.mfa_token,
        methods=problem.methods,
    )
