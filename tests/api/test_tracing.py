"""Traces as a collector receives them, over HTTP, from a started server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.api.served import PASSWORD, Deployment

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector on loopback: its address, and what was posted to it."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_request_is_a_span_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's trace goes on; the span has route, method, status, id, and nothing personal."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1\nthreads = 4")
    deployment.create()
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with deployment.served() as served:
            body = {"username": "somebody-traced", "password": PASSWORD}
            sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            refused = served.client.post("/v1/auth/login?session=cookie", body, headers=sent)
            assert refused.status == 401

    spans = [
        span
        for raw in received
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (span,) = [one for one in spans if one.trace_id.hex() == TRACE]
    assert span.parent_span_id.hex() == PARENT
    assert span.name == "POST /v1/auth/login"
    held = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    assert held == {
        "http.request.method": "POST",
        "http.route": "/v1/auth/login",
        "http.response.status_code": 401,
        "gatebook.request_id": TRACE,
    }
    everything = b"".join(received)
    assert b"somebody-traced" not in everything
    assert PASSWORD.encode() not in everything
