"""Ten thousand clients that send a byte now and then, or as many as this machine has files for."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time

import pytest

from tests.api.served import Deployment
from tests.system.conftest import LONG
from tests.system.family import all_ready, children, resident

MANY = 10_000 if LONG else 2_500
SPARE = 600
"""Files that the test itself needs."""


def can_open() -> int:
    """How many sockets this process may hold; it takes what the hard limit allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(MANY, hard - SPARE)


@pytest.mark.alone  # it takes the machine's connections, and measures time
def test_slow_clients(sqlite: Deployment) -> None:
    """Whoever sends a whole request is answered, at the latest when the slow ones are cut off."""
    wanted = can_open()
    with sqlite.served() as served, contextlib.ExitStack() as stack:
        all_ready(served)
        token = {"token": str(served.admin.token)}
        held: list[socket.socket] = []
        poll = select.poll()
        waited = []
        began = time.monotonic()
        for number in range(wanted):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect((served.client.host, served.client.port))
            held.append(one)
            poll.register(one, select.POLLOUT)
            if number % 500 == 499:
                for descriptor, _events in poll.poll(200):
                    with contextlib.suppress(OSError):
                        socket.socket.send(_by(held, descriptor), b"GET /v1/health HTT")
                    poll.unregister(descriptor)
                asked = time.monotonic()
                answer = served.client.post("/v1/token/validate", token)
                waited.append(time.monotonic() - asked)
                assert answer.body["valid"]
        print(
            f"\n{wanted} connections in {time.monotonic() - began:.1f} s; a validation between them"
            f" took {max(waited):.2f} s at most; resident KiB "
            f"{[resident(pid) for pid in children(served, 'worker')]}"
        )
        assert max(waited) < 25
        stack.close()
        assert served.client.post("/v1/token/validate", token).body["valid"]
    assert "Traceback" not in sqlite.log()


def _by(held: list[socket.socket], descriptor: int) -> socket.socket:
    """Descriptors are given in order, so the newest are the ones that are asked for."""
    return next(one for one in reversed(held) if one.fileno() == descriptor)
