"""The API's tests that concern the server itself, run again on granian; and where it differs."""

from __future__ import annotations

import json
import re

import pytest

from tests.api.served import Served
from tests.api.test_auth import *  # noqa: F403 - the same tests, another engine
from tests.api.test_idempotency import *  # noqa: F403 - as above
from tests.api.test_malformed import (  # noqa: F401 - as above
    FRAMES,
    raw,
    test_bodies,
    test_body_where_none_is_due,
    test_json_is_json,
    test_largest,
    test_media_types,
    test_paths,
    test_pipelining,
    test_too_large,
)
from tests.api.test_meta import *  # noqa: F403 - as above
from tests.attacks.test_class13_malformed import FRAMINGS
from tests.attacks.test_class13_malformed import SMUGGLED as HEALTH

LENIENT = {"equal lengths", "bare line feed", "lower-case method", "bare LF", "chunk size space"}
"""What hyper reads in one way, where waitress refuses: no danger without a server before it."""

HEAD = b"POST /v1/auth/renew HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("name", [*FRAMES, *FRAMINGS])
def test_framing(served: Served, name: str) -> None:
    """What two servers could read in two ways is refused, and what follows it is never read."""
    request = FRAMES[name][0] if name in FRAMES else HEAD + FRAMINGS[name] + HEALTH
    said = raw(served, request, wait=1.0)
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)
    assert b"granian" not in said
    if name in LENIENT:
        assert len(statuses) == 2
        return
    assert len(statuses) == 1, said
    assert statuses[0] in (b"400", b"431"), said


def test_too_large_in_chunks(served: Served) -> None:
    """A body without a length is refused once it is longer than it may be."""
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    head = b"POST /v1/token/validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    said = raw(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 40 + b"0\r\n\r\n")
    assert b" 413 " in said.split(b"\r\n")[0]
    assert json.loads(said.partition(b"\r\n\r\n")[2])["status"] == 413
