"""Class 2 again: a lock that strangers bring about is no lock for a device that signed in before.

OWASP, "Slow Down Online Guessing Attacks with Device Cookies".
"""

from __future__ import annotations

from tests.api.browser import DEVICE, Browser
from tests.api.served import Served

WRONG = "quite another tractor 17"
THRESHOLD = 5


def _failures(browser: Browser, username: str) -> list[int]:
    return [browser.login(username, WRONG).status for _ in range(THRESHOLD + 1)]


def test_a_device_that_signed_in_before_is_not_locked_out(served: Served) -> None:
    """Strangers lock the account; its owner's device still signs in."""
    account, owner = served.account(), Browser(served.client)
    assert owner.login(account["username"]).status == 200
    stranger = Browser(served.client)
    assert _failures(stranger, account["username"]) == [401] * 6
    assert stranger.login(account["username"]).status == 401

    assert owner.login(account["username"]).status == 200


def test_a_device_locks_itself_alone(served: Served) -> None:
    """Wrong guesses with a device cookie lock that device, and neither the rest nor another."""
    account = served.account()
    thief, other, plain = (Browser(served.client) for _ in range(3))
    for browser in (thief, other):
        assert browser.login(account["username"]).status == 200
    stolen = thief.jar[DEVICE]

    assert _failures(thief, account["username"]) == [401] * 6

    thief.jar = {DEVICE: stolen}
    assert thief.login(account["username"]).status == 401
    assert other.login(account["username"]).status == 200
    assert plain.login(account["username"]).status == 200
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [e["data"]["scope"] for e in failed] == ["device"] * THRESHOLD


def test_a_foreign_or_forged_device_is_a_stranger(served: Served) -> None:
    """Another account's device cookie, an altered or an overlong one gives no fresh counter."""
    account, elsewhere = served.account(), served.account()
    owner, mallory = Browser(served.client), Browser(served.client)
    assert owner.login(account["username"]).status == 200
    assert mallory.login(elsewhere["username"]).status == 200
    good = owner.jar[DEVICE]
    flipped = good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:]
    for device in (mallory.jar[DEVICE], flipped, good[:-1], "gbd_" + "A" * 86, "x" * 5000):
        mallory.jar = {DEVICE: device}
        assert mallory.login(account["username"], WRONG).status == 401
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [e["data"]["scope"] for e in failed] == ["account"] * THRESHOLD
    mallory.jar = {DEVICE: flipped}
    assert mallory.login(account["username"]).status == 401
