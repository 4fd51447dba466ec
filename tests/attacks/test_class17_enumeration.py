"""Class 17, enumeration and timing.

Zitadel CVE-2024-41952, CVE-2026-23511, CVE-2025-67717; Vault CVE-2025-6011; authentik L2; rauthy
RAUTHY-005.
"""

from __future__ import annotations

import random
import re
import statistics
import time

import pytest

from tests.api.served import PASSWORD, Served
from tests.attacks.tools import at_once

WRONG = "not the tractor of anybody 5"
PAIRS = 40
ROUNDS = 4
CLOSE = 1.5
"""Milliseconds."""


def causes(served: Served) -> dict[str, str]:
    """Usernames for which a sign-in fails for a cause of its own."""
    found = {"unknown": "nobody-of-that-name", "no name at all": "two words"}
    for cause in ("wrong", "locked", "inactive", "deleted", "no-password", "erased"):
        account = served.account(password=None if cause == "no-password" else PASSWORD)
        found[cause] = account["username"]
        path = f"/v1/accounts/{account['id']}"
        if cause == "inactive":
            served.admin.patch(path, {"status": "inactive"})
        if cause == "deleted":
            served.admin.delete(path)
        if cause == "erased":
            served.admin.post(f"{path}/erase", {"confirm": account["username"]})
        if cause == "locked":
            for _ in range(5):
                body = {"username": account["username"], "password": WRONG}
                served.client.post("/v1/auth/login", body)
    return found


def test_one_answer(served: Served) -> None:
    """Whatever the cause: the same status, headers and body, but for the request's id."""
    answers = {}
    for cause, username in causes(served).items():
        password = WRONG if cause == "wrong" else PASSWORD
        answer = served.client.post("/v1/auth/login", {"username": username, "password": password})
        headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date")}
        answers[cause] = (answer.status, headers, {**answer.body, "request_id": ""})

    assert answers["unknown"][0] == 401
    for cause, found in answers.items():
        assert found == answers["unknown"], cause


def test_one_answer_in_a_crowd(served: Served) -> None:
    """Racing tries at a name that exists end no other way than at one that does not."""
    account = served.account()
    for username in (account["username"], "nobody-in-the-crowd"):

        def attempt(number: int, username: str = username) -> int:
            body = {"username": username, "password": f"{WRONG} {number}"}
            return served.client.post("/v1/auth/login", body).status

        assert set(at_once(12, attempt)) <= {401, 503}, username


def test_readiness_says_nothing_of_refused_tries(served: Served) -> None:
    """A stranger cannot see in a public answer whether his tries were recorded one by one."""
    account = served.account()

    def shown() -> tuple[object, ...]:
        paths = ("/v1/ready", "/v1/health", "/v1/bootstrap", "/.well-known/jwks.json")
        return tuple(served.client.get(path).body for path in paths)

    def tries(username: str) -> bool:
        time.sleep(0.5)
        before = shown()
        for _ in range(3):
            body = {"username": username, "password": WRONG}
            served.client.post("/v1/auth/login", body)
        time.sleep(0.5)
        return before == shown()

    for _ in range(5):
        body = {"username": account["username"], "password": WRONG}
        served.client.post("/v1/auth/login", body)
    assert tries(account["username"]) == tries("nobody-watched")


def test_position_of_the_log_is_for_auditors(served: Served) -> None:
    """An account without permissions does not learn from an error how long the log is."""
    account, client = served.signed_in()
    said = client.get(f"/v1/accounts/{account['id']}?position=999999999999")
    assert said.status == 400
    assert re.search(r"\d", said.body["detail"].replace("999999999999", "")) is None


def _apart(served: Served, known: str) -> list[float]:
    """Milliseconds between refused sign-ins at a known name and at another, in random order.

    The fast fifth of each is compared: what the machine does besides makes the others slow. Noise
    goes away in one of a few rounds, a leak in none.
    """
    chance = random.Random(7)
    found: list[float] = []
    for _ in range(ROUNDS):
        taken: dict[str, list[float]] = {known: [], "nobody-at-all": []}
        for _ in range(PAIRS):
            for name in chance.sample(sorted(taken), 2):
                body = {"username": name, "password": WRONG}
                began = time.perf_counter()
                assert served.client.post("/v1/auth/login", body).status == 401
                taken[name].append((time.perf_counter() - began) * 1000)
        one, other = (statistics.quantiles(times, n=5)[0] for times in taken.values())
        found.append(abs(one - other))
        if found[-1] < CLOSE:
            break
    return found


@pytest.mark.alone
def test_the_clock_says_nothing(served: Served) -> None:
    """A known and an unknown name take the same time.

    The hash is cheap here, so that what surrounds it shows; a real one takes a hundred and more.
    """
    found = _apart(served, served.account()["username"])

    assert min(found) < CLOSE, found


@pytest.mark.alone
def test_the_clock_says_nothing_of_a_long_history(served: Served) -> None:
    """Nor when much has happened to the account."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}"
    for number in range(200):
        changed = {"display_name": f"Name {number}"}
        assert served.admin.patch(path, changed).status == 200
    for _ in range(80):
        assert served.admin.put(f"{path}/password", {"password": PASSWORD}).status == 204
    found = _apart(served, account["username"])

    assert min(found) < CLOSE, found


def test_pages_are_for_those_who_may_see_them(served: Served) -> None:
    """No count, cursor or header tells more than the items do."""
    _, viewer = served.signed_in("viewer")
    page = viewer.get("/v1/accounts?limit=1")
    assert set(page.body) == {"items", "next"}
    assert viewer.get("/v1/audit").status == viewer.get("/metrics").status == 403
