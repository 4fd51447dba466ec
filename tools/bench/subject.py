"""What is measured: a server that was started, and the paths it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what a right answer to it is.

    An answer is right with this status and with `contains` in its body.
    """

    method: str
    path: str
    headers: dict[str, str] = {}
    body: str = ""
    status: int = 200
    contains: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One measured path.

    `requests` are sent in turn, again and again. With `renewed`, each answer holds what the next
    request needs: `renewed` is the name of the JSON member whose new text takes the place of the
    old one in the request's body (as a refresh token does), one chain for each of `requests`.

    With `steps`, `requests` are one sequence that is sent in order and counts as one: `{n}` in a
    path or body is a text never used before, `{id}` is what the first answer's JSON member
    `renewed` holds.
    """

    path: str
    requests: Sequence[Request]
    renewed: str = ""
    connections: int = 64
    steps: bool = False


class Measured(msgspec.Struct, frozen=True):
    """What a load met: answers a second, percentiles in milliseconds, and counts."""

    rate: float
    p50: float
    p99: float
    requests: int
    wrong: int
    sample: str = ""
    """The first wrong answer's status and text."""


class Served(Protocol):
    """A server that runs."""

    host: str
    port: int

    def pids(self) -> list[int]:
        """The processes whose time and memory count, its own database server's included."""
        ...

    def work(self, path: str) -> Work | None:
        """The load for a path, made ready, or None if this server has nothing like it."""
        ...


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A server that can be started in an empty directory.

    `start` raises `Missing` when what it needs is not installed.
    """

    name: str
    start: Callable[[Path], AbstractContextManager[Served]]
    notes: str = ""
    """Its store, its hash parameters, its processes."""


class Missing(Exception):
    """A server cannot be started here; the text says what to install."""


PATHS = (
    "validate, hot",
    "validate, cold",
    "introspect",
    "keys (JWKS)",
    "client credentials",
    "refresh",
    "login",
    "login, light hash",
    "account made, disabled, deleted",
    "audit query",
    "feed",
)
"""What is asked of every server, by the names of the report."""
