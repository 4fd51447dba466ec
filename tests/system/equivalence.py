"""Whether answers take equally long: paired samples in random order, and a bootstrap over them.

An equivalence test, not a test for a difference: what is not shown to be equal fails (Kario,
"Everlasting ROBOT", eprint 2023/1441, on why the usual tests mislead here).
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

RESAMPLES = 2_000
CONFIDENCE = 0.99
WARM_UP = 20

Request = tuple[str, Any, dict[str, str]]
"""A path, a body and headers; a body of bytes is sent as it is."""


class Interval(msgspec.Struct, frozen=True):
    """Where the difference of two medians lies, in parts of the reference's median."""

    low: float
    high: float

    def inside(self, tolerance: float) -> bool:
        return -tolerance < self.low and self.high < tolerance


class Stopwatch:
    """One kept connection; times whole answers in seconds."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=40)

    def time(self, request: Request, status: int) -> float:
        path, body, headers = request
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        began = time.perf_counter()
        self._connection.request("POST", path, content, sent)
        response = self._connection.getresponse()
        raw = response.read()
        taken = time.perf_counter() - began
        assert response.status == status, raw
        return taken

    def close(self) -> None:
        self._connection.close()


def sampled(
    watch: Stopwatch, classes: Mapping[str, Callable[[int], Request]], count: int, seed: int
) -> dict[str, list[float]]:
    """`count` rounds, each with one request of every class, in an order drawn by lot."""
    chance = random.Random(seed)
    names = sorted(classes)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-WARM_UP, count):
        for name in chance.sample(names, len(names)):
            seconds = watch.time(classes[name](max(number, 0)), 401)
            if number >= 0:
                taken[name].append(seconds)
    return taken


def interval(one: list[float], reference: list[float], seed: int) -> Interval:
    """The bootstrap interval of the difference of medians; rounds are resampled as pairs."""
    chance = random.Random(seed)
    pairs = list(zip(one, reference, strict=True))
    found = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        found.append(
            statistics.median(pair[0] for pair in drawn)
            - statistics.median(pair[1] for pair in drawn)
        )
    found.sort()
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    median = statistics.median(reference)
    return Interval(found[cut] / median, found[-1 - cut] / median)
