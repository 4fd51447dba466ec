"""A route: everything that is known of one endpoint, in one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from gatebook.api.call import Call
from gatebook.api.reply import Reply
from gatebook.domain.permissions import CATALOGUE

Handler = Callable[[Call[Any, Any]], Reply]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Throttle = Literal["", "login", "break-glass"]

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


class Need(msgspec.Struct, frozen=True):
    """What a caller must hold.

    `public`: nothing. `signed`: any account. `permission`: that one. `own`: that one, or the
    account named in the path is his own.
    """

    kind: Literal["public", "signed", "permission", "own"]
    permission: str = ""


PUBLIC: Final = Need("public")
ANY: Final = Need("signed")


def needs(permission: str) -> Need:
    """A permission of the catalogue."""
    _ = CATALOGUE[permission]
    return Need("permission", permission)


def own_or(permission: str) -> Need:
    """A permission of the catalogue, or one's own account."""
    _ = CATALOGUE[permission]
    return Need("own", permission)


class Route(msgspec.Struct, frozen=True):
    """One method on one path.

    `replies` maps each good status to the struct it carries (None: no body); `problems` are the
    slugs it can refuse with beside those that follow from the rest. `body_limit` is in bytes
    (None: the configured limit). `by_body` scopes an Idempotency-Key to the very body, for calls
    whose caller is known by nothing but the secrets in it. `media_type` is set where the answer
    is rendered by the handler. `throttle` names the bucket that each request of a source address
    takes from, before anything of it is read. `form`: an OAuth 2 endpoint, which reads forms and
    refuses in the words of RFC 6749. `dpop`: a DPoP proof is taken, to bind the tokens given.
    `lenient`: a body that cannot be read reaches the handler as None, which answers for it.
    `page`: what a browser shows; it reads forms, and refuses with a page too.
    """

    method: Method
    path: str
    handler: Handler
    need: Need
    summary: str
    replies: dict[int, type[msgspec.Struct] | None]
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    problems: tuple[str, ...] = ()
    body_limit: int | None = None
    if_match: bool = False
    by_body: bool = False
    media_type: str = ""
    throttle: Throttle = ""
    form: bool = False
    dpop: bool = False
    lenient: bool = False
    page: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return _PARAMETER.findall(self.path)

    @property
    def reads_forms(self) -> bool:
        """Whether the body is a form."""
        return self.form or self.page

    @property
    def repeatable(self) -> bool:
        """Whether an Idempotency-Key counts."""
        known = self.body is not None and not self.lenient and not self.page
        return self.method == "POST" and known

    @property
    def body_optional(self) -> bool:
        """Whether an empty body stands for one without members."""
        fields = msgspec.structs.fields(self.body) if self.body is not None else ()
        return not any(field.required for field in fields)

    @property
    def slugs(self) -> list[str]:
        """Every problem it can answer with."""
        found = {"invalid-request", "store-unavailable", "overloaded", *self.problems}
        if self.need.kind != "public":
            found.add("unauthenticated")
        if self.need.kind in ("permission", "own"):
            found.add("forbidden")
        if self.need.kind == "signed" and self.method != "GET":
            found.add("forbidden")
        if self.parameters:
            found.add("not-found")
        if self.method != "GET":
            found.add("conflict")
        if self.body is not None:
            found |= {"too-large", "unsupported-media-type"}
        if self.repeatable:
            found.add("idempotency-mismatch")
        if self.if_match:
            found.add("stale-version")
        if self.dpop:
            found.add("invalid-dpop-proof")
        if self.method != "GET" and (self.need.kind != "public" or self.throttle):
            found.add("csrf")
        if self.throttle:
            found.add("too-many-attempts")
        return sorted(found)
