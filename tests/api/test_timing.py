"""A refused sign-in takes the same time, whatever the reason."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import PASSWORD, Deployment, Served

SAMPLES = 200
WRONG = "quite another thing 7"


@pytest.fixture(params=["sqlite", "postgresql"])
def quiet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A server of one worker with a hash of some milliseconds, and a lock that never comes."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(
        tmp_path, url, server="workers = 1", more="[lockout]\nthreshold = 1000000"
    )
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace('"64KiB"', '"8MiB"'))
    deployment.create()
    with deployment.served() as server:
        yield server


def test_medians(quiet: Served) -> None:
    """Over 200 rounds, each class once a round, the median difference is below ten percent.

    Differences are taken within a round, so that a machine that is busy for a while tells nothing.
    """
    wrong, inactive = quiet.account(), quiet.account()
    without = quiet.account(password=None)
    quiet.admin.patch(f"/v1/accounts/{inactive['id']}", {"status": "inactive"})
    bodies = {
        "unknown": {"username": "nobody-of-that-name", "password": WRONG},
        "wrong": {"username": wrong["username"], "password": WRONG},
        "inactive": {"username": inactive["username"], "password": PASSWORD},
        "without": {"username": without["username"], "password": WRONG},
    }
    order, chance = list(bodies), random.Random(7)
    rounds = []
    for _ in range(SAMPLES):
        chance.shuffle(order)
        rounds.append({name: _seconds(quiet, bodies[name]) for name in order})

    median = statistics.median(one["unknown"] for one in rounds)
    apart = {
        name: statistics.median(one[name] - one["unknown"] for one in rounds) / median
        for name in bodies
    }
    assert all(abs(share) < 0.1 for share in apart.values()), (median, apart)


def _seconds(served: Served, body: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = served.client.post("/v1/auth/login", body)
    took = time.perf_counter() - began
    assert answer.status == 401
    return took
