"""Class 2, a race on a counter.

Keycloak CVE-2024-4629, CVE-2026-16103; authentik IncludeSec M1; Zitadel CVE-2025-64102.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain.application.core import By, local
from gatebook.domain.application.logins import Attempt
from gatebook.domain.attempts import Counter
from gatebook.domain.envelope import ANONYMOUS
from gatebook.domain.errors import InvalidCredentials, Overloaded
from gatebook.store import reservations
from gatebook.store.house import House, open_house
from gatebook.store.reservations import Reservations
from gatebook.store.settings import Settings
from tests.api.emergency import CREDENTIALS, EMERGENCY, LOGIN
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Deployment, Served
from tests.attacks.guesser import guessers, outcomes
from tests.attacks.tools import at_once

WRONG = "quite another tractor 17"
STRANGER = By(actor=ANONYMOUS)
THRESHOLD = 5
PROCESSES = 4
EACH = 16
ROOMY = "workers = 1\nthreads = 40"


class Delayed:
    """A password during whose verification something else happens first."""

    def __init__(self, password: Any, meanwhile: Callable[[], None]) -> None:
        self._password, self._meanwhile = password, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._password, name)

    def matches(self, phc: str | None) -> bool:
        while self._meanwhile:
            self._meanwhile.pop()()
        return bool(self._password.matches(phc))


class Later:
    """A clock that is ahead."""

    def __init__(self, microseconds: int) -> None:
        self._ahead = microseconds

    def now(self) -> int:
        return time.time_ns() // 1000 + self._ahead


def _guess(house: House, guess: Any) -> bool:
    try:
        house.logins.login(STRANGER, Attempt(ADMIN, guess))
    except InvalidCredentials:
        return False
    return True


@pytest.fixture(params=["sqlite", "postgresql"])
def roomy(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment that turns no guesser away; nothing runs yet."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=ROOMY)
    deployment.create()
    return deployment


def _armed_admin(deployment: Deployment) -> str:
    """The administrator's id, once he has a break-glass password."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        owner = house.accounts.load_name(ADMIN).state.owner
        assert owner is not None
        house.break_glass.set_password(local("tester"), owner, house.plaintext(EMERGENCY))
        return str(owner)
    finally:
        house.close()


@pytest.mark.parametrize("method", ["password", "break-glass"])
def test_64_guesses_on_four_processes(roomy: Deployment, method: str) -> None:
    """Of 64 wrong guesses at once on four processes five are verified, on either store."""
    counted = roomy.directory / "verified"
    counted.touch()
    whom = ADMIN if method == "password" else _armed_admin(roomy)

    with guessers(PROCESSES, roomy.config, counted, method, whom, EACH, 0.05) as started:
        found = outcomes(started)

    assert found == {"InvalidCredentials": PROCESSES * EACH}
    assert counted.stat().st_size == THRESHOLD


def test_a_process_that_dies_gives_no_guess_back(
    roomy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guesses under way in a process that is killed count until they are two minutes old."""
    counted = roomy.directory / "verified"
    counted.touch()
    with guessers(1, roomy.config, counted, "password", ADMIN, EACH, 60) as [dying]:
        assert dying.stdin is not None
        dying.stdin.write("go\n")
        dying.stdin.flush()
        deadline = time.monotonic() + 30
        while counted.stat().st_size < THRESHOLD and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        dying.send_signal(signal.SIGKILL)
        dying.wait(30)
    assert counted.stat().st_size == THRESHOLD

    house = open_house(Settings.load(roomy.config, {}))
    try:
        monkeypatch.setattr(reservations, "PATIENCE", 0.5)
        with pytest.raises(Overloaded):
            _guess(house, house.plaintext(ADMIN_PASSWORD))
        later = Later(reservations.RESERVED_FOR + 1_000_000)
        house.app.guesses = Reservations(house.store, later, house.ids, 8)
        assert _guess(house, house.plaintext(ADMIN_PASSWORD))
    finally:
        house.close()


def test_what_waits_for_a_lock_is_not_verified(roomy: Deployment) -> None:
    """The fifth failure locks while others wait for their turn: those are refused unread."""
    house = open_house(Settings.load(roomy.config, {}))
    try:
        answers = at_once(12, lambda n: _guess(house, house.plaintext(f"{WRONG} {n}")))
        assert answers == [False] * 12
        owner = house.accounts.load_name(ADMIN).state.owner
        assert owner is not None
        tries = house.tries.load(Counter(owner, "password"))
        assert (tries.version, tries.state.failures) == (THRESHOLD, THRESHOLD)
        refused = house.refused.before(2**40)
        assert sum(count for _subject, count, _first, _last in refused) == 12 - THRESHOLD
    finally:
        house.close()


def test_the_right_guess_does_not_pass_a_lock_that_came_first(own: Deployment) -> None:
    """Wrong guesses lock, as far as a reserved one lets them, while a right one is hashed."""
    house = open_house(Settings.load(own.config, {}))
    try:
        done: list[bool] = []

        def fail() -> None:
            done.extend(_guess(house, house.plaintext(WRONG)) for _ in range(THRESHOLD - 1))

        right = Delayed(house.plaintext(ADMIN_PASSWORD), fail)

        # The reserved guess is the fifth: it may be verified, and none beyond it.
        assert _guess(house, right)
        assert done == [False] * (THRESHOLD - 1)
    finally:
        house.close()


def test_the_fifth_failure_waits_for_a_guess_under_way(
    own: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one guess is being hashed only four others are looked at; a fifth waits, in vain."""
    monkeypatch.setattr(reservations, "PATIENCE", 0.3)
    house = open_house(Settings.load(own.config, {}))
    try:

        def fail() -> None:
            for _ in range(THRESHOLD - 1):
                assert not _guess(house, house.plaintext(WRONG))
            with pytest.raises(Overloaded):
                at_once(1, lambda _n: _guess(house, house.plaintext(WRONG)))

        assert _guess(house, Delayed(house.plaintext(ADMIN_PASSWORD), fail))
    finally:
        house.close()


def test_a_change_of_password_does_not_pass_a_lock(own: Deployment) -> None:
    """At one's own password, which a thief of a token guesses at, the same counter counts."""
    house = open_house(Settings.load(own.config, {}))
    try:
        attempt = Attempt(ADMIN, house.plaintext(ADMIN_PASSWORD))
        pair = house.logins.login(STRANGER, attempt)
        thief = By(actor=ANONYMOUS, account_id=pair.account_id, session_id=pair.session_id)
        for _ in range(THRESHOLD):
            with pytest.raises(InvalidCredentials):
                house.passwords.change_password(
                    thief, house.plaintext(WRONG), house.plaintext(PASSWORD)
                )

        right = house.plaintext(ADMIN_PASSWORD)
        with pytest.raises(InvalidCredentials):
            house.passwords.change_password(thief, right, house.plaintext(PASSWORD))
        assert not _guess(house, house.plaintext(ADMIN_PASSWORD))
    finally:
        house.close()


def test_64_wrong_guesses_at_once(served: Served) -> None:
    """No more than five of them are decided by the password, on two processes."""
    account = served.account()

    def guess(number: int) -> int:
        body = {"username": account["username"], "password": f"{WRONG} {number}"}
        return served.client.post("/v1/auth/login", body).status

    answers = at_once(64, guess)

    assert set(answers) <= {401, 503}
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [event["data"]["failures"] for event in failed] == [1, 2, 3, 4, 5]
    body = {"username": account["username"], "password": PASSWORD}
    assert served.client.post("/v1/auth/login", body).status == 401


def test_break_glass_at_once_over_http(roomy: Deployment) -> None:
    """Of 24 emergency guesses at once from one address five pass the throttle and are counted."""
    with roomy.served() as served:
        account = served.account("admin")
        body = {"account_id": account["id"], "password": EMERGENCY}
        assert served.admin.post(CREDENTIALS, body).status == 201
        wrong = body | {"password": WRONG}
        answers = at_once(24, lambda _n: served.client.post(LOGIN, wrong).status)
        assert sorted(answers) == [401] * 5 + [429] * 19
        failed = served.events(f"&account={account['id']}&type=breakglass.login_failed")
        counted = [e["data"]["failures"] for e in failed if e["data"]["scope"] == "address"]
        assert counted == [1, 2, 3, 4, 5]


def test_key_is_no_way_round_the_lock(served: Served) -> None:
    """A sign-in that is remembered for an Idempotency-Key is refused while the lock holds."""
    account = served.account()
    right = {"username": account["username"], "password": PASSWORD}
    key = {"Idempotency-Key": "round-the-lock"}
    assert served.client.post("/v1/auth/login", right, headers=key).status == 200
    for _ in range(5):
        served.client.post("/v1/auth/login", {**right, "password": WRONG})

    assert served.client.post("/v1/auth/login", right, headers=key).status == 401
