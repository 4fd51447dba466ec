"""Gives any Python process a clock that a test may step: the machine's, moved by some seconds.

Python runs it at its start when this directory is on PYTHONPATH. It reads the seconds from the
file that CLOCK_FILE names, each time anew. (libfaketime was tried: it breaks sleeps on the
monotonic clock, which a step of the clock does not.)
"""

from __future__ import annotations

import os
import time

_FILE = os.environ["CLOCK_FILE"]
_SECONDS, _NANOSECONDS = time.time, time.time_ns


def _moved() -> int:
    with open(_FILE) as file:
        return int(file.read())


time.time = lambda: _SECONDS() + _moved()
time.time_ns = lambda: _NANOSECONDS() + _moved() * 1_000_000_000
