"""What stands around every handler: identity, limits, decoding, permission, rendering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import falcon
import msgspec

from gatebook.api import authentication, cookies, decoding, forms, headers, presented
from gatebook.api.authentication import Shown
from gatebook.api.call import Call, Retry
from gatebook.api.decoding import QueryReader
from gatebook.api.metrics import Metrics
from gatebook.api.problems import Problem, invalid
from gatebook.api.reply import Rendered, Reply, recall, render
from gatebook.api.route import Route
from gatebook.api.site import Site
from gatebook.api.source import client_address, user_agent_class
from gatebook.domain.access import Caller
from gatebook.domain.envelope import Source
from gatebook.domain.errors import Refusal, Remembered
from gatebook.store.dpop import Request
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
        self._decode = _decoder(route)
        self._check_type = (
            forms.check_media_type if route.reads_forms else decoding.check_media_type
        )
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
        source: Source = req.context.source
        now = house.clock.now()
        shown = self._shown(req)
        if route.page:
            authentication.check_origin(shown)
        if route.throttle:
            # First: a page of another site must not use up its visitor's attempts.
            authentication.check_site(shown)
        self._throttle(source)
        principal = None if route.need.kind == "public" else self._principal(shown, now)
        values = {name: decoding.path_value(name, text) for name, text in path.items()}
        if principal is not None:
            account_id = values.get("account_id")
            named = account_id if isinstance(account_id, UUID) else None
            authentication.permit(route.need, req.method, principal, named)
        query = self._query.read(req.query_string)
        raw, body = self._decoded(req)
        sent = req.env.get
        call: Call[Any, Any] = Call(
            house=house,
            site=self._site,
            metrics=self._metrics,
            request_id=req.context.request_id,
            source=source,
            now=now,
            principal=principal,
            path=values,
            body=body,
            query=query,
            if_match=headers.if_match(sent("HTTP_IF_MATCH")) if route.if_match else None,
            retry=self._retry(req, principal, raw) if route.method == "POST" else None,
            device=cookies.read(sent("HTTP_COOKIE"), cookies.name_of(self._site, cookies.DEVICE)),
            session_cookie=shown.session_cookie,
            jkt=self._jkt(shown),
            authorization=shown.authorization if route.form else None,
            cookies=sent("HTTP_COOKIE"),
            user_agent=sent("HTTP_USER_AGENT"),
            if_none_match=sent("HTTP_IF_NONE_MATCH"),
        )
        return route.handler(call)

    def _throttle(self, source: Source) -> None:
        """Before anything is read or hashed. Who is at the console has the store at hand anyway."""
        kind = self.route.throttle
        if kind and self._site.operator is None:
            check_throttle(self._house.throttle.take(kind, source.ip))

    def _principal(self, shown: Shown, now: int) -> Caller:
        """Who calls. A cookie that never counts again is removed.

        One that was revoked stays: its browser may hold another under this name by now.
        """
        try:
            return authentication.authenticate(
                self._house, shown, now, operator=self._site.operator
            )
        except Problem as problem:
            told = problem.headers.get("WWW-Authenticate", "")
            if "error_description" in told and "revoked" not in told:
                problem.cookies = cookies.cleared(self._site)
            raise

    def _shown(self, req: falcon.Request) -> Shown:
        site, sent = self._site, req.env.get
        cookie = sent("HTTP_COOKIE")
        return Shown(
            method=req.method,
            url=site.base_url + req.path,
            authorization=sent("HTTP_AUTHORIZATION"),
            session_cookie=cookies.read(cookie, cookies.name_of(site, cookies.SESSION)),
            csrf_token=sent("HTTP_X_CSRF_TOKEN"),
            csrf_cookie=cookies.read(cookie, cookies.name_of(site, cookies.CSRF)),
            host=sent("HTTP_HOST"),
            origin=sent("HTTP_ORIGIN"),
            fetch_site=sent("HTTP_SEC_FETCH_SITE"),
            dpop=sent("HTTP_DPOP"),
        )

    def _decoded(self, req: falcon.Request) -> tuple[bytes, Any]:
        """The body, as it came and as the handler gets it."""
        try:
            raw = self._read(req)
            return raw, None if self._decode is None else self._decode(raw)
        except (Problem, Refusal):
            if not self.route.lenient:
                raise
            return b"", None

    def _read(self, req: falcon.Request) -> bytes:
        """The body. Raises a Problem for one that is too long, before it is read if it says so."""
        length = req.content_length or 0
        if self._decode is None:
            if length:
                raise invalid("There is no body in this request.")
            return b""
        if length > self._limit:
            raise too_large(self._limit)
        raw: bytes = req.bounded_stream.read(self._limit + 1)
        if len(raw) > self._limit:
            raise too_large(self._limit)
        if not raw and self.route.body_optional:
            return b"" if self.route.reads_forms else b"{}"
        self._check_type(req.content_type)
        return raw

    def _jkt(self, shown: Shown) -> str:
        """The key that the tokens to be given are bound to, "" for none."""
        if not self.route.dpop:
            return ""
        return presented.proved(self._house, shown.dpop, Request(shown.method, shown.url))

    def _retry(self, req: falcon.Request, principal: Caller | None, raw: bytes) -> Retry | None:
        if self.route.lenient or self.route.page:
            return None
        key = headers.idempotency_key(req.env.get("HTTP_IDEMPOTENCY_KEY"))
        if key is None:
            return None
        return Retry(
            key=key,
            caller=_remembered_for(principal),
            request=f"{req.method} {req.path}?{req.query_string}".encode(),
            body=raw,
            by_body=self.route.by_body,
        )


def _remembered_for(principal: Caller | None) -> bytes:
    """Who is given an answer again. A key, or what is narrowed, gets no answer but its own.

    The answer may be a secret that its account's owner was shown.
    """
    if principal is None:
        return ANONYMOUS
    narrow = principal.kind == "api-key" or principal.scope
    return principal.account_id.bytes + (principal.id.bytes if narrow else b"")


def _decoder(route: Route) -> Callable[[bytes], Any] | None:
    if route.body is None:
        return None
    if route.reads_forms:
        return forms.decoder(route.body)
    decoder = msgspec.json.Decoder(route.body)
    return lambda raw: decoding.decode_body(raw, decoder)


def check_throttle(wait: int) -> None:
    """Raises the Problem of whoever must wait so many seconds."""
    if wait:
        raise Problem(
            "too-many-attempts",
            f"Too many attempts from this address. Try again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )


def too_large(limit: int) -> Problem:
    """A body beyond the limit, in bytes."""
    return Problem("too-large", f"A body here has at most {limit} bytes.")


def source_of(env: Mapping[str, Any], site: Site) -> Source:
    """Where a request came from, by its WSGI environment."""
    peer, forwarded = str(env.get("REMOTE_ADDR", "")), env.get("HTTP_X_FORWARDED_FOR")
    return Source(
        ip=client_address(peer, forwarded, site.trusted_proxies),
        user_agent=user_agent_class(env.get("HTTP_USER_AGENT")),
    )


def send(resp: falcon.Response, rendered: Rendered) -> None:
    """Puts a rendered answer into falcon's."""
    resp.status = falcon.code_to_http_status(rendered.status)
    for name, value in rendered.headers.items():
        resp.set_header(name, value)
    for cookie in rendered.cookies:
        resp.append_header("Set-Cookie", cookie)
    if rendered.body:
        resp.data = rendered.body
        resp.content_type = rendered.media_type
