"""What a process does before it holds a key: nobody gets its memory out of a file."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_to_itself() -> None:
    """No core dump, for this process and its children; on Linux no other program's look either.

    With the second, what other processes of the same user see under /proc shrinks as well: the
    environment and the memory are for root alone. A child has to ask for that anew.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
