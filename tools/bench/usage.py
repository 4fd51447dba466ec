"""What a server's processes took of the machine: processor time and memory, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

TICK = os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True):
    """MiB: all processes, each shared page counted once, and the largest process by itself."""

    total: float
    largest: float


def processor_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes and of their children that have ended."""
    return sum(map(_seconds, pids))


def memory(pids: Iterable[int]) -> Memory:
    """As it stands now. What must not be read of a process counts as its resident size."""
    sizes = [_sizes(pid) for pid in pids]
    total = sum(shared for shared, _ in sizes)
    return Memory(total / 1024, max((whole for _, whole in sizes), default=0) / 1024)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            text = "".join(
                file.read_text() for file in Path(f"/proc/{one}/task").glob("*/children")
            )
        except OSError:
            continue
        found += map(int, text.split())
    return found


def _seconds(pid: int) -> float:
    try:
        # The name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK


def _sizes(pid: int) -> tuple[int, int]:
    """KiB: with shared pages divided among those who share them, and whole."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        whole = _kib(status, "VmRSS:")
        return _kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "\nPss:"), whole
    except PermissionError:
        return whole, whole
    except (OSError, ValueError):
        return 0, 0


def _kib(text: str, name: str) -> int:
    _, found, rest = text.partition(name)
    return int(rest.split()[0]) if found else 0
