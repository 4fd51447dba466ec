"""The processes of a started server: who they are, how they are killed, when they are gone."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.api.served import Served

PROC = Path("/proc")


def until(what: str, holds: Callable[[], bool], seconds: float = 15.0, poll: float = 0.02) -> float:
    """Waits until something holds. Returns the seconds it took; fails when it never does."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"waited {seconds} s in vain: {what}"
        time.sleep(poll)
    return time.monotonic() - began


def children(served: Served, kind: str = "") -> list[int]:
    """The pids of the supervisor's children: "worker", "follower" or both."""
    pid = served.process.pid
    try:
        listed = (PROC / f"{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in listed if f"gatebook.api.{kind}" in _command(int(child))]


def _command(pid: int) -> str:
    try:
        return (PROC / f"{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs. One that is dead and not yet buried does not."""
    try:
        state = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signals one process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_all(served: Served) -> None:
    """kill -9 of the supervisor and every child, and waits until none of them runs."""
    pids = [served.process.pid, *children(served)]
    for pid in pids:
        kill(pid)
    served.process.wait(10)
    until("every process is dead", lambda: not any(map(alive, pids)))


def replaced(served: Served, kind: str, before: list[int], seconds: float = 15.0) -> None:
    """Waits until as many children of a kind run as before, with the dead one replaced."""
    until(
        f"the {kind} is started again",
        lambda: (now := children(served, kind)) != before and len(now) == len(before),
        seconds,
    )


def all_ready(served: Served, workers: int = 2) -> None:
    """Waits until every worker has answered: the first one is not alone when it is hurt."""
    seen: set[str] = set()

    def asked() -> bool:
        text = served.admin.get("/metrics").raw.decode()
        seen.update(re.findall(r'gatebook_hash_gate_depth\{pid="(\d+)"', text))
        return len(seen) == workers

    until("every worker answers", asked)


def resident(pid: int) -> int:
    """Resident memory in KiB."""
    for line in (PROC / f"{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory")
