"""No refused sign-in can be told from another by its time: E9 and E51, class 17.

A real server with one worker; a hash of some milliseconds, so that a cheap one left out would show
as clearly as the rest of the work does. The same class under two labels must come out as equal
first (A/A): if it does not, the machine is too busy to measure on.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.api.emergency import CREDENTIALS, EMERGENCY, LOGIN, address
from tests.api.served import PASSWORD, Deployment, Served
from tests.system.conftest import IN_CI
from tests.system.equivalence import Interval, Request, Stopwatch, interval, sampled

pytestmark = pytest.mark.alone

WRONG = "not the tractor of anybody 5"
REFERENCE = "wrong"
AGAIN = "wrong, again"
ROUNDS = 3
THRESHOLD = 20
SERVER = 'workers = 1\nthreads = 4\ntrusted_proxies = ["127.0.0.1"]'
LOCKOUT = '[lockout]\nthreshold = {threshold}\nduration = "12h"\nreset = "12h"\n'
BREAK_GLASS = (
    'enabled = true\nlockout_threshold = {threshold}\nlockout_duration = "12h"\n'
    'lockout_reset = "12h"'
)
COUNT, TOLERANCE = (1_000, 0.05) if IN_CI else (200, 0.10)
EMERGENCIES = 200
NOBODY = "00000000-0000-4000-8000-0000000000{:02x}"


def _threshold(deployment: Deployment, before: int, after: int) -> None:
    text = deployment.config.read_text()
    for line in ("threshold = {}", "lockout_threshold = {}"):
        text = text.replace(line.format(before), line.format(after))
    deployment.config.write_text(text)


@pytest.fixture
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment that locks after two failures, and hashes for some milliseconds."""
    url = "sqlite:///gatebook.db"
    if getattr(request, "param", "sqlite") == "postgresql":
        url = str(request.getfixturevalue("postgres").url())
    made = Deployment(
        tmp_path,
        url,
        server=SERVER,
        more=LOCKOUT.format(threshold=2),
        breakglass=BREAK_GLASS.format(threshold=2),
    )
    text = made.config.read_text()
    made.config.write_text(text.replace('"64KiB"', '"8MiB"'))
    made.create()
    return made


def _measured(
    served: Served, classes: Mapping[str, Callable[[int], Request]], count: int, tolerance: float
) -> None:
    """Fails unless every class is equal to the reference, in one of a few rounds at least."""
    told: list[dict[str, Interval]] = []
    for turn in range(ROUNDS):
        watch = Stopwatch(served.client.host, served.client.port)
        try:
            taken = sampled(watch, classes, count, turn)
        finally:
            watch.close()
        found = {
            name: interval(times, taken[REFERENCE], turn)
            for name, times in taken.items()
            if name != REFERENCE
        }
        median = statistics.median(taken[REFERENCE])
        print(f"\nmedian {median * 1000:.2f} ms, {count} samples of each class")
        print({name: (round(one.low, 4), round(one.high, 4)) for name, one in found.items()})
        if not found[AGAIN].inside(tolerance):
            continue
        if all(one.inside(tolerance) for one in found.values()):
            return
        told.append(found)
    assert told, "this machine is too busy: not even one class is equal to itself"
    raise AssertionError(f"told apart: {told}")


def _spread(served: Served, cause: str, count: int) -> list[str]:
    """Usernames for which sign-ins fail for one cause, each good for some tries below a lock."""
    names = []
    for _ in range(-(-ROUNDS * (count + 40) // (THRESHOLD - 1))):
        account = served.account(password=None if cause == "no-password" else PASSWORD)
        path = f"/v1/accounts/{account['id']}"
        if cause == "inactive":
            assert served.admin.patch(path, {"status": "inactive"}).status == 200
        if cause == "deleted":
            assert served.admin.delete(path).status == 204
        names.append(str(account["username"]))
    return names


def _logins(names: list[str], password: str) -> Callable[[int], Request]:
    tried = 0

    def request(_number: int) -> Request:
        nonlocal tried
        tried += 1
        name = names[tried // (THRESHOLD - 1) % len(names)]
        return "/v1/auth/login", {"username": name, "password": password}, {}

    return request


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deployment", "count", "tolerance"),
    [("sqlite", COUNT, TOLERANCE), ("postgresql", 200, 0.10)],
    indirect=["deployment"],
)
def test_sign_ins_by_password(deployment: Deployment, count: int, tolerance: float) -> None:
    """Unknown user, wrong password, locked, inactive, deleted, no password: as long as each other.

    In CI, on SQLite: 1,000 samples of each, the 99 % interval inside 5 % of the median; else 200
    and 10 %.
    """
    with deployment.served() as served:
        locked = served.account()["username"]
        for _ in range(2):
            served.client.post("/v1/auth/login", {"username": locked, "password": WRONG})
    _threshold(deployment, 2, THRESHOLD)
    with deployment.served() as served:
        number = ROUNDS * (count + 40) // (THRESHOLD - 1) + 1
        classes = {
            REFERENCE: _logins(_spread(served, "wrong", count), WRONG),
            AGAIN: _logins(_spread(served, "wrong", count), WRONG),
            "unknown": _logins([f"nobody-{n}" for n in range(number)], WRONG),
            "locked": _logins([locked], PASSWORD),
            "inactive": _logins(_spread(served, "inactive", count), PASSWORD),
            "deleted": _logins(_spread(served, "deleted", count), PASSWORD),
            "no-password": _logins(_spread(served, "no-password", count), PASSWORD),
        }
        _measured(served, classes, count, tolerance)


def _emergencies(ids: list[str], password: str) -> Callable[[int], Request]:
    tried = 0

    def request(_number: int) -> Request:
        nonlocal tried
        tried += 1
        body = {"account_id": ids[tried % len(ids)], "password": password}
        return LOGIN, body, address()

    return request


def _armed(served: Served, count: int = 1) -> list[Any]:
    found = []
    for _ in range(count):
        account = served.account("admin")
        body = {"account_id": account["id"], "password": EMERGENCY}
        assert served.admin.post(CREDENTIALS, body).status == 201
        found.append(account["id"])
    return found


@pytest.mark.slow
def test_emergency_sign_ins(deployment: Deployment) -> None:
    """Break-glass: unknown, wrong, locked, inactive, no credential, unreadable: 200 samples."""
    with deployment.served() as served:
        [locked] = _armed(served)
        wrong = {"account_id": locked, "password": WRONG}
        for _ in range(20):
            assert served.client.post(LOGIN, wrong, headers=address()).status == 401
    _threshold(deployment, 2, THRESHOLD)
    with deployment.served() as served:
        many = ROUNDS * (EMERGENCIES + 40) // (10 * THRESHOLD) + 1
        off = _armed(served, many)
        for account_id in off:
            path = f"/v1/accounts/{account_id}"
            assert served.admin.patch(path, {"status": "inactive"}).status == 200
        bare = [served.account("admin")["id"] for _ in range(many)]
        classes = {
            REFERENCE: _emergencies(_armed(served, many), WRONG),
            AGAIN: _emergencies(_armed(served, many), WRONG),
            "unknown": _emergencies([NOBODY.format(n) for n in range(many)], WRONG),
            "locked": _emergencies([locked], EMERGENCY),
            "inactive": _emergencies(off, EMERGENCY),
            "no-credential": _emergencies(bare, EMERGENCY),
            "unreadable": lambda _number: (LOGIN, b'{"account_id": ', address()),
        }
        _measured(served, classes, EMERGENCIES, 0.10)
