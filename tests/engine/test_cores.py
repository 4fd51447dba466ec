"""Each worker computes on one core, and hashes on all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.served import Served

CORES = len(os.sched_getaffinity(0))
SETTLED = """
import os, threading
from gatebook.store import cores
with cores.everywhere():
    assert len(os.sched_getaffinity(0)) == {cores}  # before it is settled nothing changes
cores.settle({number})
found = []
def hash():
    with cores.everywhere():
        found.append(os.sched_getaffinity(0))
    found.append(os.sched_getaffinity(0))
thread = threading.Thread(target=hash)
thread.start()
thread.join()
assert [len(one) for one in found] == [{cores}, 1], found
assert found[1] == os.sched_getaffinity(0)
print(*found[1])
"""


@pytest.mark.skipif(CORES < 2, reason="one core is all there is")
def test_neighbours_take_turns_and_a_hash_goes_anywhere() -> None:
    """A supervisor's workers go round its cores; a hash and its threads use every one."""
    taken = set()
    for number in range(CORES):
        command = [sys.executable, "-c", SETTLED.format(cores=CORES, number=number)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        taken.add(done.stdout.strip())
    assert len(taken) == CORES


@pytest.mark.skipif(CORES < 2, reason="one core is all there is")
def test_a_served_worker_is_settled(served: Served) -> None:
    """Every thread of a worker but those that hash is on its core."""
    supervisor = served.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    workers = [int(pid) for pid in children if b"gatebook.api.worker" in _words(pid)]
    assert len(workers) == 2
    own = [os.sched_getaffinity(pid) for pid in workers]
    assert [len(one) for one in own] == [1, 1]
    assert own[0] != own[1]


def _words(pid: str) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
