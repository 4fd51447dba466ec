"""A renewal whose answer is lost: the client asks again, and the family goes on.

A worker is killed at any moment while 8 uses of one refresh token are under way, some before the
commit and some between it and the answer. Whoever asks again within ten seconds, on whichever
worker, gets the one successor.
"""

from __future__ import annotations

import http.client
import random
import threading
import time

import pytest

from tests.api.served import ELSEWHERE, PASSWORD, Deployment, Served
from tests.system.conftest import IN_CI
from tests.system.family import all_ready, children, kill, replaced

pytestmark = pytest.mark.alone
"""The retry must come within ten seconds."""

SERVERS = 3 if IN_CI else 1
KILLS = 4
"""A minute: at the fifth a supervisor takes the fault for a lasting one, and ends."""

USES = 8


def test_a_renewal_cut_off_by_kill_9(fresh: Deployment) -> None:
    """After each kill the token gives one successor, by one event, and no reuse is seen."""
    dice = random.Random(29)
    cut_off = 0
    for _ in range(SERVERS):
        with fresh.served() as served:
            for _ in range(KILLS):
                cut_off += _round(served, dice)
    print(f"\n{SERVERS * KILLS} kills, {cut_off} answers lost")


def _round(served: Served, dice: random.Random) -> int:
    all_ready(served)
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    body = {"refresh_token": pair["refresh_token"]}
    lost: list[int] = []
    threads = [threading.Thread(target=_renew, args=(served, body, lost)) for _ in range(USES)]
    before = children(served, "worker")
    for thread in threads:
        thread.start()
    time.sleep(dice.uniform(0, 0.02))
    kill(dice.choice(before))
    for thread in threads:
        thread.join(20)

    again = served.client.post("/v1/auth/renew", body)

    assert again.status == 200, again.raw
    types = [one["type"] for one in served.events(f"&account={account['id']}")]
    assert (types.count("session.rotated"), types.count("token.reuse_detected")) == (1, 0)
    token = {"token": again.body["access_token"]}
    assert served.client.post("/v1/token/validate", token).body["valid"]
    assert served.client.post("/v1/auth/renew", body, headers=ELSEWHERE).status == 401
    replaced(served, "worker", before)
    return len(lost)


def _renew(served: Served, body: dict[str, str], lost: list[int]) -> None:
    try:
        served.client.post("/v1/auth/renew", body)
    except (OSError, http.client.HTTPException):
        lost.append(1)
