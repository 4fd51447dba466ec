"""Prometheus metrics: what all workers did, and how the store stands at the moment of asking.

The supervisor names a directory (PROMETHEUS_MULTIPROC_DIR) in which every worker keeps its counts,
so a scrape of any of them shows the whole. Labels are bounded: route templates, declared methods,
statuses.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from gatebook.projections import engine, tree_tables
from gatebook.projections.checked import checked
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House
from gatebook.store.tls import Certificate

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client itself, when it is imported."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KINDS: Final = ("counter", "histogram", "gauge_liveall")
ROOM: Final = 1 << 20
"""Bytes for each kind: some five thousand rows, where all routes and statuses have fewer."""
USED: Final = struct.Struct("i")
"""What a file of counts begins with."""
GROUPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def share(directory: Path) -> None:
    """Has the processes that are started from here on count in one place, from zero.

    Where that cannot be made, each counts for itself.
    """
    os.environ.pop(DIRECTORY, None)  # noqa: TID251 - somebody else's
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True)
        os.environ[DIRECTORY] = str(directory)  # noqa: TID251 - where prometheus_client looks


def forget(pid: int) -> None:
    """Drops the gauges of a process that is dead; what it counted stays, without the room."""
    directory = os.environ.get(DIRECTORY)  # noqa: TID251 - as above
    if not directory:
        return
    with contextlib.suppress(OSError):
        mark_process_dead(pid, path=directory)  # type: ignore[no-untyped-call]
        for path in Path(directory).glob(f"*_{pid}.db"):
            with path.open("r+b") as file:
                head = file.read(USED.size)
                if len(head) == USED.size:  # else it died before it had counted anything
                    file.truncate(max(USED.size, *USED.unpack(head)))


def _reserve(directory: Path) -> bool:
    """Takes the room of this process's counts beforehand; False when there is none.

    They are mapped into memory: a page that the full disk has no room for would kill the process.
    """
    paths = [directory / f"{kind}_{os.getpid()}.db" for kind in KINDS]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in paths:
            with path.open("a+b") as file:
                os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        return False
    return True


class Metrics:
    """What one worker counts."""

    def __init__(self, house: House, certificate: Certificate | None = None) -> None:
        directory = os.environ.get(DIRECTORY)  # noqa: TID251 - set by our own supervisor
        if directory and not _reserve(Path(directory)):
            # This process counts for itself then, and is missing in what the others show.
            values.ValueClass = values.MutexValue
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self._store = _StoreCollector(house, certificate)
        self._requests = Counter(
            "gatebook_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "gatebook_request_seconds",
            "Time from the whole request to its answer.",
            ("route", "method"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._append_seconds = Histogram(
            "gatebook_append_seconds",
            "Time that a group of writes took, its commit included.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._append_writes = Histogram(
            "gatebook_append_writes",
            "Writes that shared one commit.",
            buckets=GROUPS,
            registry=registry,
        )
        self._gate = Gauge(
            "gatebook_hash_gate_depth",
            "Sign-ins that hash or wait for a turn.",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        # Its file is made now: later its directory might be gone, and a request would fail.
        self._requests.labels("none", "GET", "404")
        house.store.observe_writes(self._wrote)
        house.gate.observe = self._gate.set

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request answered."""
        known = self._known.get((route, method, status))
        if known is None:
            count = self._requests.labels(route, method, str(status))
            known = self._known[route, method, status] = count, self._seconds.labels(route, method)
        known[0].inc()
        known[1].observe(seconds)

    def _wrote(self, writes: int, seconds: float) -> None:
        self._append_writes.observe(writes)
        self._append_seconds.observe(seconds)

    def text(self) -> bytes:
        """The exposition. Reads the store; raises its errors."""
        counted = self._registry
        directory = os.environ.get(DIRECTORY)  # noqa: TID251 - set by our own supervisor
        if directory and os.path.isdir(directory):  # or somebody tidied it away
            counted = CollectorRegistry(auto_describe=False)
            MultiProcessCollector(counted, path=directory)  # type: ignore[no-untyped-call]
        asked = CollectorRegistry(auto_describe=False)
        asked.register(self._store)
        return generate_latest(counted) + generate_latest(asked)


class _StoreCollector(Collector):
    """What is not counted but looked up."""

    def __init__(self, house: House, certificate: Certificate | None) -> None:
        self._house = house
        self._certificate = certificate

    def collect(self) -> Iterable[Metric]:
        """Asked once a scrape."""
        house = self._house
        head = GaugeMetricFamily("gatebook_log_head", "The log's last position.")
        lag = GaugeMetricFamily(
            "gatebook_projection_lag", "Events a read model is behind.", labels=["projection"]
        )
        live = GaugeMetricFamily(
            "gatebook_projection_live",
            "1 while a read model answers and follows.",
            labels=["projection"],
        )
        standings = engine.status(house.store, PROJECTIONS)
        position = standings[0].head
        head.add_metric([], position)
        for standing in standings:
            lag.add_metric([standing.name], standing.lag)
            live.add_metric([standing.name], int(standing.status == "live"))
        drifted = GaugeMetricFamily(
            "gatebook_projection_drifted_rows",
            "Rows of a read model that are not what the log says, as the last look found.",
            labels=["projection"],
        )
        looked = GaugeMetricFamily(
            "gatebook_projection_checked_timestamp_seconds",
            "When every row of a read model had been held against the log, or drift was found.",
            labels=["projection"],
        )
        for one in checked(house.store).values():
            drifted.add_metric([one.name], one.drifted)
            looked.add_metric([one.name], one.checked_at / 1_000_000)
        tree = tree_tables.state(house.store)
        lag.add_metric(["tree"], position - tree.size)
        live.add_metric(["tree"], int(tree.halted is None))
        troubled = GaugeMetricFamily(
            "gatebook_witnesses_in_trouble",
            "Witness files that cannot be read or written.",
            value=len(tree_tables.in_trouble(house.store, house.settings.audit.witness_files)),
        )
        yield from (head, lag, live, drifted, looked, troubled)
        counts = GaugeMetricFamily(
            "gatebook_count", "Accounts by status, sessions, tokens, locks.", labels=["of"]
        )
        for name, count in house.access.counts(house.clock.now()).items():
            counts.add_metric([name], count)
        yield counts
        if self._certificate is not None:
            days = self._certificate.days_left(house.clock.now())
            yield GaugeMetricFamily(
                "gatebook_tls_certificate_days", "Days until the certificate ends.", value=days
            )
