"""The WSGI application: the route table on falcon's router, and what every answer has."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

import falcon
import msgspec
from eventsourcing.persistence import PersistenceError

from gatebook.api import decoding, headers, logs, oauth2_errors, problems
from gatebook.api.metrics import Metrics
from gatebook.api.oauth2_errors import OAuthError, of_problem
from gatebook.api.page_templates import problem_page
from gatebook.api.pipeline import Responder, check_throttle, send, source_of
from gatebook.api.problems import PROBLEMS, Problem
from gatebook.api.reply import Rendered, render
from gatebook.api.route import Route
from gatebook.api.site import Site
from gatebook.api.tracing import NoTracing, Tracing
from gatebook.domain.errors import Refusal, StoreUnavailable
from gatebook.domain.event import UnreadableEvent
from gatebook.store.house import House

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
NOBODYS: Final = "TRACE"
"""A method that no route declares: unknown ones are led there, to the same 405."""

HEALTH: Final = "/v1/health"
"""Asked by whatever restarts the process: never throttled."""

PROBLEM_JSON: Final = "application/problem+json"
HSTS: Final = "max-age=63072000; includeSubDomains"

_error_log = logging.getLogger("gatebook.error")
_encoder = msgspec.json.Encoder()


class Resource:
    """The responders of one path; a 405 for every other method."""

    def __init__(self, responders: dict[str, Responder]) -> None:
        self.responders = responders
        allowed = ", ".join(sorted(responders))

        def not_allowed(_req: falcon.Request, _resp: falcon.Response, **_path: str) -> None:
            raise Problem(
                "method-not-allowed",
                "This method is not allowed here.",
                headers={"Allow": allowed},
            )

        for method in METHODS:
            setattr(self, f"on_{method.lower()}", responders.get(method, not_allowed))


class Surroundings:
    """Before and after every request: its id, the headers all answers have, log and metrics."""

    def __init__(self, house: House, site: Site, metrics: Metrics, tracing: Tracing) -> None:
        self._house = house
        self._site = site
        self._metrics = metrics
        self._tracing = tracing

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Names the request."""
        context = req.context
        context.started = time.perf_counter()
        context.method = req.method if req.method in METHODS else "other"
        context.source = source = source_of(req.env, self._site)
        given, trace = req.env.get("HTTP_X_REQUEST_ID"), req.env.get("HTTP_TRACEPARENT")
        context.span = self._tracing.begin(context.method, trace)
        context.request_id = headers.request_id(given, trace, self._house.ids.ordered())
        if context.method == "other":
            req.method = NOBODYS
        if req.path != HEALTH and self._site.operator is None:
            check_throttle(self._house.throttle.take("request", source.ip))

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool
    ) -> None:
        """Adds the headers, then tells log and metrics."""
        resp.set_header("X-Request-Id", req.context.request_id)
        resp.set_header("X-Content-Type-Options", "nosniff")
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-store")
        if self._site.secure:
            resp.set_header("Strict-Transport-Security", HSTS)
        seconds = time.perf_counter() - req.context.started
        template = req.uri_template or "none"
        status = resp.status_code
        self._metrics.observe(template, req.context.method, status, seconds)
        self._tracing.end(req.context.span, template, status, req.context.request_id)
        logs.answered(
            decoding.instant(self._house.clock.now()),
            req.context.request_id,
            template,
            req.context.method,
            status,
            seconds,
            req.context.source.user_agent,
        )


def create_app(
    house: House,
    site: Site,
    routes: Iterable[Route],
    metrics: Metrics,
    tracing: Tracing | None = None,
) -> falcon.App[falcon.Request, falcon.Response]:
    """The application that serves exactly these routes."""
    around = Surroundings(house, site, metrics, tracing or NoTracing())
    app = falcon.App(middleware=[around], sink_before_static_route=True)
    routes = list(routes)
    oauth2 = frozenset(route.path for route in routes if route.form)
    pages = frozenset(route.path for route in routes if route.page)
    told = _told(site, oauth2, pages)
    app.add_error_handler(Exception, told)
    app.add_error_handler(falcon.HTTPError, told)
    by_path: dict[str, dict[str, Responder]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = Responder(route, house, site, metrics)
    for path, responders in by_path.items():
        app.add_route(path, Resource(responders))
    return app


def _told(
    site: Site, oauth2: frozenset[str], pages: frozenset[str]
) -> Callable[[falcon.Request, falcon.Response, Exception, Any], None]:
    """Refuses as RFC 9457 has it; in the words of RFC 6749 or with a page on those paths."""

    def tell(req: falcon.Request, resp: falcon.Response, error: Exception, _path: Any) -> None:
        if req.uri_template in oauth2:
            refused = error if isinstance(error, OAuthError) else None
            refused = refused or of_problem(_problem_of(error, req.context.request_id))
            body = _encoder.encode(oauth2_errors.document(refused))
            send(resp, Rendered(refused.status, refused.headers, body))
            return
        problem = _problem_of(error, req.context.request_id)
        if req.uri_template in pages:
            send(resp, render(problem_page(problem)))
            return
        said = problems.document(problem, site.problem_base, req.context.request_id)
        send(
            resp,
            Rendered(
                problem.status,
                problem.headers,
                _encoder.encode(said),
                PROBLEM_JSON,
                problem.cookies,
            ),
        )

    return tell


def _problem_of(error: Exception, request_id: str) -> Problem:
    match error:
        case Problem():
            return error
        case Refusal():
            return problems.of_refusal(error)
        case UnreadableEvent(position=position):
            _log_error(error, request_id, f"event {position}")
            return Problem("store-unavailable", f"Event {position} cannot be read by this release.")
        case PersistenceError():
            _log_error(error, request_id)
            return problems.of_refusal(StoreUnavailable("The store does not answer."))
        case falcon.HTTPError(status_code=404):
            return Problem("not-found", "There is nothing here.")
        case falcon.HTTPError(status_code=status) if status < 500:
            return _of_status(status)
        case _:
            _log_error(error, request_id)
            return Problem("internal-error", "The request could not be answered.")


def _of_status(status: int) -> Problem:
    slug = next((slug for slug, row in PROBLEMS.items() if row[0] == status), "invalid-request")
    return Problem(slug, "The request is not valid.")


def _log_error(error: Exception, request_id: str, about: str | None = None) -> None:
    """Where it happened, not what it says: a message may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    _error_log.error(
        "error",
        extra={
            "fields": {
                "request_id": request_id,
                "error": type(error).__name__,
                "about": about,
                "cause": type(error.__cause__).__name__ if error.__cause__ else None,
                "at": [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]],
            }
        },
    )
