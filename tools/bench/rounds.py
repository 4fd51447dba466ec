"""The measurement itself: every path, in rounds, each subject once a round.

So a moment in which the machine does something else hits all subjects alike.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from gatebook.tools.bench import load
from gatebook.tools.bench.subject import Measured, Served, Work
from gatebook.tools.bench.usage import memory, processor_seconds

BESIDE_LOGINS: Final = "validate, while 8 sign in"
VALIDATING: Final = 8
"""Clients that validate beside them: few enough that they do not wait for each other."""


class Load(msgspec.Struct, frozen=True):
    """How each path is driven: so many times, for so long, by Python even if there is wrk."""

    runs: int
    seconds: int
    python: bool = False


class Run(msgspec.Struct, frozen=True):
    """One load on one subject: with processor milliseconds an answer, and MiB after it."""

    measured: Measured
    cpu: float
    total: float
    largest: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the runs of a path on a subject; wrong answers are those of all runs.

    `rate` in answers a second, `p50`, `p99` and `cpu` in milliseconds, memory in MiB.
    """

    subject: str
    path: str
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float
    largest: float
    requests: int
    wrong: int
    sample: str = ""


def measure(
    subjects: Sequence[tuple[str, Served]],
    paths: Iterable[str],
    wanted: Load,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> list[Figures]:
    """Figures for each path that a subject has. `tell` is given a line before each load."""
    found: dict[tuple[str, str], list[Run]] = {}
    for path in paths:
        for turn in range(wanted.runs):
            for name, served in subjects:
                tell(f"{path}: round {turn + 1} of {wanted.runs}, {name}")
                run = _run(served, path, wanted, turn)
                if run is not None:
                    found.setdefault((name, path), []).append(run)
    return [_figures(name, path, taken) for (name, path), taken in found.items()]


def _run(served: Served, path: str, wanted: Load, turn: int) -> Run | None:
    beside = None
    if path == BESIDE_LOGINS:
        work = served.work("validate, hot")
        # Last, since a server may have to start anew for it.
        beside = served.work("login")
        if work is None or beside is None:
            return None
        work = msgspec.structs.replace(work, path=path, connections=VALIDATING)
    else:
        work = served.work(path)
    if work is None:
        return None
    if work.renewed and not work.steps:
        # Each run has chains of its own: what was under way at the end of one is lost to the next.
        work = msgspec.structs.replace(work, requests=work.requests[turn :: wanted.runs])
    before = processor_seconds(served.pids())
    measured = (
        load.drive(served, work, wanted.seconds, python=wanted.python)
        if beside is None
        else _beside(served, work, beside, wanted)
    )
    spent = processor_seconds(served.pids()) - before
    size = memory(served.pids())
    # Beside logins it is theirs for the most part.
    cpu = spent * 1000 / max(1, measured.requests) if beside is None else 0.0
    return Run(measured, cpu, size.total, size.largest)


def _beside(served: Served, work: Work, other: Work, wanted: Load) -> Measured:
    """A work while another one goes on; wrong answers are those of both."""
    others: list[Measured] = []

    def drive_other() -> None:
        others.append(load.drive(served, other, wanted.seconds + 2, python=wanted.python))

    thread = threading.Thread(target=drive_other)
    thread.start()
    try:
        time.sleep(1)  # until the queue is full
        measured = load.drive(served, work, wanted.seconds, python=wanted.python)
    finally:
        thread.join()
    wrong = measured.wrong + (others[0].wrong if others else 1)
    sample = measured.sample or (others[0].sample if others else "nobody could sign in")
    return msgspec.structs.replace(measured, wrong=wrong, sample=sample)


def _figures(name: str, path: str, runs: list[Run]) -> Figures:
    def median(value: Callable[[Run], float]) -> float:
        return statistics.median(map(value, runs))

    return Figures(
        subject=name,
        path=path,
        rate=median(lambda run: run.measured.rate),
        p50=median(lambda run: run.measured.p50),
        p99=median(lambda run: run.measured.p99),
        cpu=median(lambda run: run.cpu),
        memory=median(lambda run: run.total),
        largest=max(run.largest for run in runs),
        requests=sum(run.measured.requests for run in runs),
        wrong=sum(run.measured.wrong for run in runs),
        sample=next((run.measured.sample for run in runs if run.measured.sample), ""),
    )
