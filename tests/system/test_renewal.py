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

from tests.api.served import ELSEWHERE, PASSWORD, Served
from tests.system.conftest import IN_CI
from tests.system.family import all_ready, children, kill, replaced

pytestmark = pytest.mark.alone
"""The retry must come within ten seconds."""

ROUNDS = 12 if IN_CI else 4
USES = 8


def test_a_renewal_cut_off_by_kill_9(served: Served) -> None:
    """After each kill the token gives one successor, by one event, and no reuse is seen."""
    dice = random.Random(29)
    cut_off = 0
    for turn in range(4 * ROUNDS):
        if turn >= ROUNDS and cut_off:
            break
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
        cut_off += len(lost)
        replaced(served, "worker", before)
    print(f"\n{turn} kills, {cut_off} answers lost")
    assert cut_off > 0


def _renew(served: Served, body: dict[str, str], lost: list[int]) -> None:
    try:
        served.client.post("/v1/auth/renew", body)
    except (OSError, http.client.HTTPException):
        lost.append(1)
