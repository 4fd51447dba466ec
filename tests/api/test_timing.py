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
    """Over 200 interleaved samples each, the medians are within ten percent of one another."""
    wrong, inactive = quiet.account(), quiet.account()
    without = quiet.account(password=None)
    quiet.admin.patch(f"/v1/accounts/{inactive['id']}", {"status": "inactive"})
    bodies = {
        "unknown": {"username": "nobody-of-that-name", "password": WRONG},
        "wrong": {"username": wrong["username"], "password": WRONG},
        "inactive": {"username": inactive["username"], "password": PASSWORD},
        "without": {"username": without["username"], "password": WRONG},
    }
    took: dict[str, list[float]] = {name: [] for name in bodies}
    order = [name for name in bodies for _ in range(SAMPLES)]
    random.Random(7).shuffle(order)
    for name in order:
        began = time.perf_counter()
        answer = quiet.client.post("/v1/auth/login", bodies[name])
        took[name].append(time.perf_counter() - began)
        assert answer.status == 401

    medians = {name: statistics.median(found) for name, found in took.items()}
    assert max(medians.values()) < 1.1 * min(medians.values()), medians
