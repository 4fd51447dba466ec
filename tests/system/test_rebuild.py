"""Read models rebuilt beside a live server under load: no answer fails, none is wrong (E59).

Every client knows what it must be told. The rebuild is killed at twenty points and goes on.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from typing import Any

from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import synthesize
from tests.api.served import ADMIN, ADMIN_PASSWORD, Client, Deployment
from tests.scale.load import Asker, Revoker, Validator
from tests.system.conftest import LONG
from tests.system.evidence import caught_up, check_store, house_of

EVENTS = 36_000
"""Beyond 2,000 accounts a search by part of a name would take several pages."""

KILLS = 20
KNOWN = 12


class Reader(Asker):
    """Asks every read model for what does not change, and expects the answer it got before."""

    def __init__(self, name: str, front: Client, admin: Client) -> None:
        super().__init__(name, front, admin, [front])
        self.expected: dict[str, Any] = {}
        self.accounts: dict[str, Any] = {}

    def begin(self) -> None:
        """Makes accounts that nobody touches again, and keeps what is said of them."""
        for number in range(KNOWN):
            body = {"username": f"{self.name}-known-{number}x", "type": "system"}
            made = self.admin.post("/v1/accounts", body)
            assert made.status == 201, made.raw
            path = f"/v1/accounts/{made.body['id']}"
            assert self.admin.put(f"{path}/roles/viewer").status == 204
            shown = self.admin.get(path).body
            self.accounts[shown["id"]] = shown
            self.expected |= {
                path: shown,
                f"{path}/roles": {"items": [{"role": "viewer", "expires_at": None}], "next": None},
                f"/v1/accounts?q={body['username']}": [shown],
            }

    def remember(self) -> None:
        """What the index says of them, once it has followed."""
        for account_id in self.accounts:
            path = f"/v1/audit?account={account_id}&category=access"
            self.expected[path] = self.admin.get(path).body
            assert len(self.expected[path]["items"]) == 1

    def round(self, stop: threading.Event) -> None:
        path, expected = random.choice(list(self.expected.items()))
        answer = self.done(stop, self.admin, "GET", path)
        self.asked += 1
        said = answer.body["items"] if "?q=" in path else answer.body  # more may have come since
        if answer.status != 200 or said != expected:
            self.wrong.append(f"{path}: {answer.status} {answer.raw[:300]!r}, not {expected}")


def rebuild(deployment: Deployment) -> subprocess.Popen[bytes]:
    words = ["--config", str(deployment.config), "projection", "rebuild", "--all"]
    return subprocess.Popen(
        [sys.executable, "-m", "gatebook.tools.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_and_finish(deployment: Deployment, dice: random.Random, kills: int) -> int:
    """Kills the rebuild at points by chance, then lets it end. Returns how often it was killed."""
    killed = 0
    for _ in range(kills):
        child = rebuild(deployment)
        try:
            child.wait(dice.uniform(0.45, 1.1))
        except subprocess.TimeoutExpired:
            child.kill()
            killed += 1
        child.communicate(timeout=20)
    child = rebuild(deployment)
    _out, errors = child.communicate(timeout=240)
    assert child.returncode == 0, errors
    return killed


def test_no_wrong_answer_and_none_that_fails(fresh: Deployment) -> None:
    """Killed rebuilds and a whole one, while readers, revokers and a validator ask."""
    kills = KILLS if "sqlite" in fresh.config.read_text() or LONG else KILLS // 2
    with house_of(fresh) as house:
        synthesize(house.store, EVENTS, codec=Real(house))
    with fresh.served() as served:
        caught_up(served, 120)
        token = served.token(ADMIN, ADMIN_PASSWORD)
        front, admin = served.client, served.client.with_token(token)
        readers = [Reader(f"reader{n}", front, admin) for n in range(2)]
        validator = Validator("v", front, admin, [front])
        validator.token = token
        askers: list[Asker] = [*readers, Revoker("r", front, admin, [front]), validator]
        for reader in readers:
            reader.begin()
        caught_up(served, 120)
        for reader in readers:
            reader.remember()
        stop = threading.Event()
        threads = [threading.Thread(target=asker.run, args=(stop,)) for asker in askers]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            killed = kill_and_finish(fresh, random.Random(59), kills)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert [asker.wrong for asker in askers] == [[]] * len(askers)
        assert [asker.silent for asker in askers] == [0] * len(askers)
        caught_up(served, 60)
    with house_of(fresh) as house:
        recorded = check_store(house)
    asked = sum(asker.asked for asker in askers)
    print(
        f"\n{killed} kills, {asked} answers compared, {len(recorded)} events, "
        f"{time.monotonic() - began:.0f} s"
    )
    assert killed >= kills // 3
    assert asked > 500
