"""A deployment at work: how fast it takes events in, starts, and is verified, and what it holds."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import httpx

from gatebook.domain import token
from gatebook.domain.application.core import By, local
from gatebook.domain.envelope import Source, account_actor
from gatebook.projections.rows import uuid
from gatebook.store.house import House
from gatebook.tools.bench.usage import family, memory

THREADS: Final = 16
APPEND_FOR: Final = 5.0
READY_WITHIN: Final = 120.0
REQUESTS: Final = 500
HOUR: Final = 3_600_000_000


def appended(house: House) -> float:
    """Tokens issued a second by 16 threads: sealed source, inline read models, durable."""
    ((found,),) = house.store.query(
        "SELECT account_id FROM accounts WHERE status = 'active' ORDER BY created_position LIMIT 1"
    )
    account_id = uuid(found)
    counts, until = [0] * THREADS, time.perf_counter() + APPEND_FOR

    def work(place: int) -> None:
        while time.perf_counter() < until:
            _issue(house, account_id)
            counts[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began)


def _issue(house: House, account_id: UUID) -> None:
    by = By(
        actor=account_actor(account_id),
        request_id=str(house.ids.ordered()),
        source=Source("198.51.100.7", "firefox"),
        account_id=account_id,
    )
    issued = token.TokenIssued(
        account_id=account_id,
        epoch=0,
        kid="NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        expires_at=house.clock.now() + HOUR,
        audience="example",
    )
    house.app.record_one(issued, house.ids.ordered(), by)


def token_of(house: House) -> str:
    """A token that counts, of a machine in the log."""
    ((found,),) = house.store.query(
        "SELECT account_id FROM access_accounts WHERE status = 'active' AND kind = 'system' LIMIT 1"
    )
    return house.tokens.issue(local("bench"), uuid(found), expires_in=3_600).token


def served(config: Path, access_token: str) -> dict[str, float]:
    """Seconds from start to ready; validate's median; MiB of the largest process after that."""
    with config.with_name("stderr").open("w") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "gatebook.api", str(config)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        with httpx.Client(base_url=address.split()[-1]) as client:
            while client.get("/v1/ready").status_code != 200:
                if time.perf_counter() - began > READY_WITHIN:
                    raise RuntimeError(f"it did not get ready: see {config.with_name('stderr')}")
                time.sleep(0.01)
            ready = time.perf_counter() - began
            taken = []
            for _ in range(REQUESTS):
                asked = time.perf_counter()
                answer = client.post("/v1/token/validate", json={"token": access_token})
                taken.append((time.perf_counter() - asked) * 1_000)
                if not answer.json()["valid"]:
                    raise RuntimeError("a token that counts was refused")
        used = memory(family(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        process.stdout.close()
    return {
        "start to ready s": ready,
        "validate ms": median(taken),
        "largest process MiB": used.largest,
    }


def verified(config: Path) -> None:
    """Runs `gatebook audit verify`. Raises CalledProcessError when it finds something wrong."""
    start = "import sys; from gatebook.tools.main import main; sys.exit(main())"
    words: list[Any] = [sys.executable, "-c", start, "--config", config]
    subprocess.run([*words, "audit", "verify"], check=True, stdout=subprocess.DEVNULL)
