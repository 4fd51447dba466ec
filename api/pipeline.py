"""What stands around every handler: identity, limits, decoding, permission, rendering."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import falcon
import msgspec

from gatebook.api import authentication, decoding, headers
from gatebook.api.call import Call, Retry
from gatebook.api.decoding import QueryReader
from gatebook.api.metrics import Metrics
from gatebook.api.problems import Problem, invalid
from gatebook.api.reply import Rendered, Reply, recall, render
from gatebook.api.route import Route
from gatebook.api.site import Site
from gatebook.api.source import client_address, user_agent_class
from gatebook.domain.envelope import Source
from gatebook.domain.errors import Remembered
from gatebook.domain.ports import LiveToken
from gatebook.store.house import House

ANONYMOUS: Final = b"anonymous"


class Responder:
    """One route as falcon calls it."""

    def __init__(self, route: Route, house: House, site: Site, metrics: Metrics) -> None:
        self.route = route
        self._house = house
        self._site = site
        self._metrics = metrics
        self._query = QueryReader(route.query)
        self._body = msgspec.json.Decoder(route.body) if route.body is not None else None
        self._limit = route.body_limit or site.max_body

    def __call__(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """Answers a request. What is wrong with it is raised, and rendered by the app."""
        try:
            rendered = render(self._answer(req, path))
        except Remembered as before:
            rendered = recall(before.answer)
        send(resp, rendered)

    def _answer(self, req: falcon.Request, path: dict[str, str]) -> Reply:
        route, house = self.route, self._house
        now = house.clock.now()
        principal = None
        if route.need.kind != "public":
            principal = authentication.authenticate(
                house, req.get_header("Authorization"), now, operator=self._site.operator
            )
        values = {name: decoding.path_value(name, text) for name, text in path.items()}
        if principal is not None:
            account_id = values.get("account_id")
            named = account_id if isinstance(account_id, UUID) else None
            authentication.permit(route.need, principal, named)
        query = self._query.read(req.query_string)
        raw = self._read(req)
        call: Call[Any, Any] = Call(
            house=house,
            site=self._site,
            metrics=self._metrics,
            request_id=req.context.request_id,
            source=source_of(req, self._site),
            now=now,
            principal=principal,
            path=values,
            body=decoding.decode_body(raw, self._body) if self._body is not None else None,
            query=query,
            if_match=headers.if_match(req.get_header("If-Match")) if route.if_match else None,
            retry=self._retry(req, principal, raw) if route.method == "POST" else None,
        )
        return route.handler(call)

    def _read(self, req: falcon.Request) -> bytes:
        """The body. Raises a Problem for one that is too long, before it is read if it says so."""
        length = req.content_length or 0
        if self._body is None:
            if length:
                raise invalid("There is no body in this request.")
            return b""
        if length > self._limit:
            raise too_large(self._limit)
        raw: bytes = req.bounded_stream.read(self._limit + 1)
        if len(raw) > self._limit:
            raise too_large(self._limit)
        if not raw and self.route.body_optional:
            return b"{}"
        decoding.check_media_type(req.content_type)
        return raw

    def _retry(self, req: falcon.Request, principal: LiveToken | None, raw: bytes) -> Retry | None:
        key = headers.idempotency_key(req.get_header("Idempotency-Key"))
        if key is None:
            return None
        return Retry(
            key=key,
            caller=principal.account_id.bytes if principal is not None else ANONYMOUS,
            request=f"{req.method} {req.path}?{req.query_string}".encode(),
            body=raw,
            by_body=self.route.by_body,
        )


def too_large(limit: int) -> Problem:
    """A body beyond the limit, in bytes."""
    return Problem("too-large", f"A body here has at most {limit} bytes.")


def source_of(req: falcon.Request, site: Site) -> Source:
    """Where a request came from."""
    peer = str(req.env.get("REMOTE_ADDR", ""))
    forwarded = req.get_header("X-Forwarded-For")
    return Source(
        ip=client_address(peer, forwarded, site.trusted_proxies),
        user_agent=user_agent_class(req.get_header("User-Agent")),
    )


def send(resp: falcon.Response, rendered: Rendered) -> None:
    """Puts a rendered answer into falcon's."""
    resp.status = falcon.code_to_http_status(rendered.status)
    for name, value in rendered.headers.items():
        resp.set_header(name, value)
    if rendered.body:
        resp.data = rendered.body
        resp.content_type = rendered.media_type
