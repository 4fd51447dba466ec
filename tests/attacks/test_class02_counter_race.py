"""Class 2, a race on a counter.

Keycloak CVE-2024-4629, CVE-2026-16103; authentik IncludeSec M1; Zitadel CVE-2025-64102.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatebook.domain.application.core import By
from gatebook.domain.envelope import ANONYMOUS
from gatebook.domain.errors import InvalidCredentials
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Deployment, Served
from tests.attacks.tools import at_once

WRONG = "quite another tractor 17"
STRANGER = By(actor=ANONYMOUS)


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


def _guess(house: House, guess: Any) -> bool:
    try:
        house.logins.login(STRANGER, ADMIN, guess)
    except InvalidCredentials:
        return False
    return True


def test_the_right_guess_does_not_pass_a_lock_that_came_first(own: Deployment) -> None:
    """Five wrong guesses lock while a right one is being hashed: it is refused all the same."""
    house = open_house(Settings.load(own.config, {}))
    try:

        def lock() -> None:
            for _ in range(5):
                assert not _guess(house, house.plaintext(WRONG))

        right = Delayed(house.plaintext(ADMIN_PASSWORD), lock)

        assert not _guess(house, right)
    finally:
        house.close()


def test_a_change_of_password_does_not_pass_a_lock_that_came_first(own: Deployment) -> None:
    """The same at one's own password, which a thief of a token guesses at."""
    house = open_house(Settings.load(own.config, {}))
    try:
        pair = house.logins.login(STRANGER, ADMIN, house.plaintext(ADMIN_PASSWORD))
        thief = By(actor=ANONYMOUS, account_id=pair.account_id, session_id=pair.session_id)

        def lock() -> None:
            for _ in range(5):
                assert not _guess(house, house.plaintext(WRONG))

        right = Delayed(house.plaintext(ADMIN_PASSWORD), lock)
        with pytest.raises(InvalidCredentials):
            house.passwords.change_password(thief, right, house.plaintext(PASSWORD))
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


def test_key_is_no_way_round_the_lock(served: Served) -> None:
    """A sign-in that is remembered for an Idempotency-Key is refused while the lock holds."""
    account = served.account()
    right = {"username": account["username"], "password": PASSWORD}
    key = {"Idempotency-Key": "round-the-lock"}
    assert served.client.post("/v1/auth/login", right, headers=key).status == 200
    for _ in range(5):
        served.client.post("/v1/auth/login", {**right, "password": WRONG})

    assert served.client.post("/v1/auth/login", right, headers=key).status == 401
