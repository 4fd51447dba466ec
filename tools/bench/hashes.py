"""What one bare Argon2id hash costs here, with the parameters of the run."""

from __future__ import annotations

import statistics
import time
from typing import Final

import msgspec
from argon2 import PasswordHasher

TIMES: Final = 5
PARAMETERS: Final = {"64 MiB t=3 p=4": (65_536, 3, 4), "19 MiB t=2 p=1": (19_456, 2, 1)}


class BareHash(msgspec.Struct, frozen=True):
    """Medians, in milliseconds of time and of processor time."""

    name: str
    wall: float
    cpu: float


def bare() -> list[BareHash]:
    """Each set of parameters."""
    return [_bare(name, *parameters) for name, parameters in PARAMETERS.items()]


def _bare(name: str, memory: int, rounds: int, lanes: int) -> BareHash:
    hasher = PasswordHasher(time_cost=rounds, memory_cost=memory, parallelism=lanes)
    wall, cpu = [], []
    for _ in range(TIMES):
        began, spent = time.perf_counter(), time.process_time()
        hasher.hash("copper lantern river 27")
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
    return BareHash(name, statistics.median(wall), statistics.median(cpu))
