"""Loads a server for some seconds, and counts the answers that are wrong.

wrk sends, from one process for each kind of request: so every answer is held against what it has to
be, though wrk does not tell which request it answers. Without wrk, Python sends.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from gatebook.tools.bench import load_python
from gatebook.tools.bench.chains import chain, is_form
from gatebook.tools.bench.subject import Measured, Request, Served, Work

SCRIPT: Final = Path(__file__).with_name("load.lua")
TIMEOUT: Final = 60
"""Seconds until an answer that did not come is wrong."""

PAUSE: Final = 20
"""Milliseconds before each request that must be refused. A refusal may be far cheaper than what is
measured, and without a pause it would take the server for itself."""


class Kind(msgspec.Struct, frozen=True):
    """Requests whose right answers look alike, and the connections that send them."""

    requests: Sequence[Request]
    connections: int


class LoadFailed(Exception):
    """The load generator did not say what it saw."""


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def drive(served: Served, work: Work, seconds: int, *, python: bool = False) -> Measured:
    """Sends a path's requests for some seconds.

    Rate and percentiles are those of the first kind of request, requests and wrong answers those of
    all. Raises LoadFailed.
    """
    if python or work.steps or not has_wrk() or not _alike(work):
        return load_python.drive(served.host, served.port, work, seconds)
    with tempfile.TemporaryDirectory(prefix="gatebook-load-") as directory:
        plans: list[tuple[Path, int]] = []
        for number, kind in enumerate(kinds(work)):
            plan = Path(directory) / str(number)
            pause = PAUSE if number else 0
            plan.write_bytes(_plan(served, kind.requests, work.renewed, pause))
            plans.append((plan, kind.connections))
        return _combined([*_sent(served, plans, seconds)])


def kinds(work: Work) -> list[Kind]:
    """The requests by what their answers have to be; the first kind gets most connections."""
    found: dict[tuple[int, str], list[Request]] = {}
    for request in work.requests:
        found.setdefault((request.status, request.contains), []).append(request)
    main, *others = found.values()
    most = max(1, work.connections - len(others))
    if work.renewed:
        most = min(most, len(main))
    return [Kind(main, most), *(Kind(other, 1) for other in others)]


def _sent(served: Served, plans: list[tuple[Path, int]], seconds: int) -> list[Measured]:
    """All plans at once."""
    running = [
        subprocess.Popen(
            _command(served, plan, connections, seconds),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        for plan, connections in plans
    ]
    try:
        return [_read(one.communicate(timeout=seconds + TIMEOUT + 30)[1]) for one in running]
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
                one.communicate()


def _command(served: Served, plan: Path, connections: int, seconds: int) -> list[str]:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT}s"]
    address = f"http://{served.host}:{served.port}"
    return ["wrk", *options, "-s", str(SCRIPT), address, "--", str(plan)]


def _read(said: str) -> Measured:
    figures, _, sample = said.partition("\n")
    try:
        requests, micros, p50, p99, wrong = map(int, figures.split())
    except ValueError as error:
        raise LoadFailed(f"wrk: {said.strip()[:300]}") from error
    return Measured(requests * 1e6 / max(1, micros), p50 / 1e3, p99 / 1e3, requests, wrong, sample)


def _combined(parts: list[Measured]) -> Measured:
    main = parts[0]
    return Measured(
        rate=main.rate,
        p50=main.p50,
        p99=main.p99,
        requests=sum(part.requests for part in parts),
        wrong=sum(part.wrong for part in parts),
        sample=next((part.sample for part in parts if part.sample), ""),
    )


def _plan(served: Served, requests: Sequence[Request], renewed: str, pause: int) -> bytes:
    """What load.lua reads: fields, each behind its length."""
    first, host = requests[0], f"{served.host}:{served.port}"
    if renewed:
        before, _, behind = chain(first, renewed)
        template = ["yes" if is_form(first) else "", _head(first, host), before, behind]
        sent = [chain(one, renewed)[1] for one in requests]
    else:
        template = ["", "", "", ""]
        sent = [_whole(one, host) for one in requests]
    fields = [str(first.status), str(pause), first.contains, renewed, *template]
    fields += [str(len(sent)), *sent]
    return b"".join(b"%d %s" % (len(one), one) for one in map(str.encode, fields))


def _alike(work: Work) -> bool:
    """Whether all chains differ in what is renewed alone: wrk does not tell which one goes on."""
    pieces = [(one, chain(one, work.renewed)) for one in work.requests] if work.renewed else []
    kept = {(one.path, str(one.headers), before, behind) for one, (before, _, behind) in pieces}
    return len(kept) < 2


def _head(request: Request, host: str) -> str:
    """A request up to its Content-Length."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(lines) + "\r\n"


def _whole(request: Request, host: str) -> str:
    length = len(request.body.encode())
    size = f"Content-Length: {length}\r\n" if length or request.method != "GET" else ""
    return f"{_head(request, host)}{size}\r\n{request.body}"
