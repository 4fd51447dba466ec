"""Prometheus metrics of one worker, and of the store at the moment of asking.

Each worker counts for itself; the label `worker` tells them apart, and a sum over it is the whole.
A scrape reaches one worker. Labels are bounded: route templates, declared methods, statuses.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gatebook.api.site import Site
from gatebook.projections import engine
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one worker process."""

    def __init__(self, house: House, site: Site) -> None:
        self._house = house
        self._worker = site.worker
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "gatebook_requests",
            "Requests answered.",
            ("worker", "route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "gatebook_request_seconds",
            "Time from the whole request to its answer.",
            ("worker", "route", "method"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._gate = self._gauge("gatebook_hash_gate_depth", "Password hashes under way.", "worker")
        self._appends = self._gauge("gatebook_appends_waiting", "Saves not yet written.", "worker")
        self._head = self._gauge("gatebook_log_head", "The log's last position.")
        self._lag = self._gauge(
            "gatebook_projection_lag", "Events a read model is behind.", "projection"
        )
        self._live = self._gauge(
            "gatebook_projection_live", "1 while a read model answers and follows.", "projection"
        )
        self._counts = self._gauge("gatebook_count", "Accounts, sessions, tokens.", "of")

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(name, words, labels, registry=self._registry)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request answered."""
        self._requests.labels(self._worker, route, method, str(status)).inc()
        self._seconds.labels(self._worker, route, method).observe(seconds)

    def text(self) -> bytes:
        """The exposition. Reads the store; raises its errors."""
        house = self._house
        self._gate.labels(self._worker).set(house.gate.depth)
        self._appends.labels(self._worker).set(house.store.waiting())
        for standing in engine.status(house.store, PROJECTIONS):
            self._head.set(standing.head)
            self._lag.labels(standing.name).set(standing.lag)
            self._live.labels(standing.name).set(int(standing.status == "live"))
        for name, count in house.access.counts().items():
            self._counts.labels(name).set(count)
        return generate_latest(self._registry)
