"""OpenTelemetry traces, if the extra `gatebook[otel]` is installed and an exporter is named.

Configured by the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, ...). A span
holds the route's template, the method, the status and the request id: no path, query, header or
body, in which a secret could stand.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing(Protocol):
    """Spans of requests."""

    def begin(self, method: str, traceparent: str | None) -> Any:
        """The span of a request that came in, a child of the caller's if he names one."""
        ...

    def end(self, span: Any, route: str, status: int, request_id: str) -> None:
        """Its end."""
        ...

    def close(self) -> None:
        """Sends what is waiting, for two seconds at most."""
        ...


class NoTracing:
    """What is used unless an exporter is named."""

    def begin(self, method: str, traceparent: str | None) -> Any:
        """Nothing."""

    def end(self, span: Any, route: str, status: int, request_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class OpenTelemetry:
    """Spans in OpenTelemetry's words (semantic conventions for HTTP servers)."""

    def __init__(self, tracer: Tracer, provider: Any) -> None:
        from opentelemetry.propagators.textmap import DefaultGetter
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._provider = provider
        self._context = TraceContextTextMapPropagator()
        self._getter = DefaultGetter()

    def begin(self, method: str, traceparent: str | None) -> Any:
        """See `Tracing.begin`."""
        from opentelemetry.trace import SpanKind

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        context = self._context.extract(carrier, getter=self._getter)
        return self._tracer.start_span(method, context=context, kind=SpanKind.SERVER)

    def end(self, span: Any, route: str, status: int, request_id: str) -> None:
        """See `Tracing.end`."""
        from opentelemetry.trace import Status, StatusCode

        span.update_name(f"{span.name} {route}")
        span.set_attribute("http.request.method", span.name.partition(" ")[0])
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("gatebook.request_id", request_id)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def close(self) -> None:
        """See `Tracing.close`."""
        self._provider.force_flush(2_000)
        self._provider.shutdown()


def tracing() -> Tracing:
    """What the environment asks for. Raises RuntimeError when the extra is not installed."""
    if not any(os.environ.get(name) for name in ENDPOINTS):  # noqa: TID251 - OpenTelemetry's own
        return NoTracing()
    if find_spec("opentelemetry.sdk") is None:
        raise RuntimeError(f"{ENDPOINTS[0]} is set: pip install 'gatebook[otel]', or unset it")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "gatebook"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider.get_tracer("gatebook"), provider)
