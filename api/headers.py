"""The headers that a request is judged by."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from gatebook.api.problems import Problem, invalid, unauthenticated

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.A)
CREDENTIALS: Final = re.compile(r"(bearer|dpop) ([a-z0-9._~+/-]+=*)", re.ASCII | re.IGNORECASE)
KEY: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?", re.ASCII)
ETAG: Final = re.compile(r'"([0-9]{1,18})"', re.ASCII)
NO_TRACE: Final = "0" * 32


def request_id(given: str | None, traceparent: str | None, fresh: UUID) -> str:
    """The request's id: the one given if it is well formed, the trace's, or a fresh one."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    trace = TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    if trace is not None and trace[1] != NO_TRACE and not traceparent_is_invalid(trace[0]):
        return trace[1]
    return str(fresh)


def traceparent_is_invalid(traceparent: str) -> bool:
    """Whether it has the version that W3C forbids, or more parts than version 00 has."""
    return traceparent.startswith("ff") or (traceparent.startswith("00") and len(traceparent) > 55)


def credentials(authorization: str | None) -> tuple[str, str]:
    """("bearer" or "dpop", token) of the one Authorization header. Raises a Problem otherwise.

    Two such headers arrive joined by a comma, which no token holds.
    """
    match = CREDENTIALS.fullmatch(authorization) if authorization is not None else None
    if match is None:
        raise unauthenticated()
    return match[1].lower(), match[2]


def idempotency_key(given: str | None) -> bytes | None:
    """The Idempotency-Key, if there is one. Raises a Problem for one that cannot be."""
    if given is None:
        return None
    if KEY.fullmatch(given) is None:
        raise invalid("Idempotency-Key is 1 to 255 printable ASCII characters.")
    return given.encode()


def if_match(given: str | None) -> int | None:
    """The version that If-Match names; None for none or `*`. Raises a Problem.

    A well-formed tag that is not one of ours names no version: it cannot match.
    """
    if given is None or given.strip() == "*":
        return None
    match = ETAG.fullmatch(given.strip())
    if match is not None:
        return int(match[1])
    if re.fullmatch(r'(W/)?"[\x21\x23-\x7e]*"', given.strip(), re.ASCII):
        raise Problem("stale-version", "The resource has another version.")
    raise invalid('If-Match is one ETag, like "3".')
