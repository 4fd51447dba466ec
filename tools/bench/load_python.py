"""The load without wrk, and the load of sequences: http.client in a few processes.

It takes several times the processor time of wrk, so its rates are lower: compare only what the same
generator sent.
"""

from __future__ import annotations

import http.client
import itertools
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gatebook.tools.bench.chains import with_renewed
from gatebook.tools.bench.subject import Measured, Request, Work

PROCESSES: Final = 2
TIMEOUT: Final = 60.0


class Seen(msgspec.Struct):
    """What one process saw: milliseconds of each answer, and the wrong ones."""

    taken: list[float] = []
    wrong: int = 0
    sample: str = ""


def drive(host: str, port: int, work: Work, seconds: int) -> Measured:
    """As `load.drive`. A sequence counts as one request, and its time is that of all its steps."""
    count = min(PROCESSES, work.connections)
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        arguments = [(host, port, work, seconds, number, count) for number in range(count)]
        parts = pool.starmap(_process, arguments)
    taken = sorted(one for part in parts for one in part.taken)
    wrong = sum(part.wrong for part in parts)
    sample = next((part.sample for part in parts if part.sample), "")
    p50, p99 = percentile(taken, 50), percentile(taken, 99)
    return Measured(len(taken) / seconds, p50, p99, len(taken), wrong, sample)


def percentile(taken: Sequence[float], percent: int) -> float:
    """Of sorted values; 0.0 of none."""
    if len(taken) < 2:
        return taken[0] if taken else 0.0
    return statistics.quantiles(taken, n=100, method="inclusive")[percent - 1]


def _process(host: str, port: int, work: Work, seconds: int, number: int, count: int) -> Seen:
    """The connections of one process."""
    mine = range(number, work.connections, count)
    if work.renewed:
        mine = range(number, min(work.connections, len(work.requests)), count)
    until = time.monotonic() + seconds
    senders = [Sender(host, port, work, one, until) for one in mine]
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = Seen()
    for sender in senders:
        seen.taken += sender.seen.taken
        seen.wrong += sender.seen.wrong
        seen.sample = seen.sample or sender.seen.sample
    return seen


class Sender:
    """One connection: sends, waits, looks, and sends the next."""

    def __init__(self, host: str, port: int, work: Work, number: int, until: float) -> None:
        self.seen = Seen()
        self._work = work
        self._number = number
        self._until = until
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def run(self) -> None:
        """Until the time is over."""
        try:
            for steps in self._turns():
                began = time.monotonic()
                if began >= self._until:
                    break
                right = self._answered(steps)
                self.seen.taken.append((time.monotonic() - began) * 1e3)
                self.seen.wrong += not right
        finally:
            self._connection.close()

    def _turns(self) -> Iterator[Sequence[Request]]:
        requests, work = list(self._work.requests), self._work
        if work.steps:
            for turn in itertools.count():
                values = {"{n}": f"{os.getpid()}x{self._number}x{turn}"}
                self._kept = values
                yield requests
        if work.renewed:
            self._chain = requests[self._number]
            while True:
                yield [self._chain]
        for turn in itertools.count(self._number):
            yield [requests[turn % len(requests)]]

    def _answered(self, steps: Sequence[Request]) -> bool:
        """Whether all answers are right. What follows a wrong one is not sent."""
        for request in steps:
            status, text = self._send(self._filled(request) if self._work.steps else request)
            if status != request.status or request.contains not in text:
                self.seen.sample = self.seen.sample or f"{status} {text[:300]}"
                return False
            if self._work.renewed and not self._keep(text):
                self.seen.sample = self.seen.sample or f"{status} {text[:300]}"
                return False
        return True

    def _send(self, request: Request) -> tuple[int, str]:
        try:
            self._connection.request(
                request.method, request.path, request.body.encode() or None, request.headers
            )
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return 0, f"a connection failed: {error!r}"

    def _keep(self, text: str) -> bool:
        """Takes what the next request needs from an answer."""
        if self._work.steps:
            found = _member(text, self._work.renewed)
            if found is not None:
                self._kept.setdefault("{id}", found)
            return "{id}" in self._kept
        renewed = _member(text, self._work.renewed)
        if renewed is None:
            return False
        self._chain = with_renewed(self._chain, self._work.renewed, renewed)
        return True

    def _filled(self, request: Request) -> Request:
        path, body = request.path, request.body
        for name, value in self._kept.items():
            path, body = path.replace(name, value), body.replace(name, value)
        return msgspec.structs.replace(request, path=path, body=body)


def _member(text: str, name: str) -> str | None:
    try:
        decoded: Any = json.loads(text)
    except ValueError:
        return None
    found = decoded.get(name) if isinstance(decoded, dict) else None
    return found if isinstance(found, str) else None
