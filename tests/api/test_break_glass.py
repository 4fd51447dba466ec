"""Break-glass inside one process: what races, expires, is swept and is exempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gatebook.domain.application.break_glass import EmergencySignIn
from gatebook.domain.application.core import By, local
from gatebook.domain.attempts import BreakGlassLoginFailed
from gatebook.domain.break_glass import CredentialExpired
from gatebook.domain.envelope import ANONYMOUS, Source
from gatebook.domain.errors import Conflict, InvalidCredentials, NotFound, WeakPassword
from gatebook.store.house import House, open_house
from gatebook.store.housekeeping import expire_break_glass, summarise_refusals
from gatebook.store.refused import HOUR
from gatebook.store.settings import Settings
from tests.api.browser import Browser
from tests.api.emergency import CREDENTIALS, EMERGENCY, LOGIN, WRONG
from tests.api.served import ADMIN, Deployment, Served

OPERATOR = local("tester")
STORES = ["sqlite", "postgresql"]
SECOND = 1_000_000


def stranger(ip: str = "192.0.2.7") -> By:
    """Somebody at an address."""
    return By(actor=ANONYMOUS, request_id="emergency", source=Source(ip, "other"))


class Delayed:
    """A password during whose verification something else happens first."""

    def __init__(self, password: Any, meanwhile: Callable[[], None]) -> None:
        self._password, self._meanwhile = password, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._password, name)

    def matches(self, phc: str | None) -> bool:
        found = bool(self._password.matches(phc))
        while self._meanwhile:
            self._meanwhile.pop()()
        return found


def _deployment(request: pytest.FixtureRequest, directory: Path, breakglass: str) -> Deployment:
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres").url())
    made = Deployment(
        directory, url, breakglass=breakglass, more='[sessions]\nmfa_required_for = ["admin"]\n'
    )
    made.create()
    return made


@pytest.fixture(params=STORES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """An open house with a first admin whose role needs a second factor."""
    made = open_house(Settings.load(_deployment(request, tmp_path, "enabled = true").config, {}))
    yield made
    made.close()


def armed(house: House) -> UUID:
    """The administrator's id, now with a break-glass password."""
    owner = house.accounts.load_name(ADMIN).state.owner
    assert owner is not None
    house.break_glass.set_password(OPERATOR, owner, house.plaintext(EMERGENCY))
    return owner


def attempt(house: House, owner: UUID, plaintext: Any, by: By | None = None) -> bool:
    """Whether an emergency sign-in succeeds."""
    try:
        house.break_glass.login(by or stranger(), EmergencySignIn(str(owner), owner, plaintext))
    except InvalidCredentials:
        return False
    return True


def test_threshold_and_summary(house: House) -> None:
    """Five failures lock one address; later tries are counted, and summed up when the hour ends."""
    owner = armed(house)
    for _ in range(5):
        assert not attempt(house, owner, house.plaintext(WRONG))
    head = house.store.head()
    for _ in range(7):
        assert not attempt(house, owner, house.plaintext(EMERGENCY))
    assert house.store.head() == head
    assert attempt(house, owner, house.plaintext(EMERGENCY), stranger("192.0.2.8"))

    summarise_refusals(house, house.clock.now() + 2 * HOUR)

    newest = house.store.read(head, 100)
    summed = [one.event for one in newest if one.topic == "login.refused_while_locked.1"]
    assert [(event.method, event.count) for event in summed] == [("break-glass", 7)]


def test_a_password_set_meanwhile_wins(house: House) -> None:
    """The old password does not pass a new one that came first, and opens no session."""
    owner = armed(house)

    def set_anew() -> None:
        house.break_glass.set_password(OPERATOR, owner, house.plaintext(f"{EMERGENCY} anew"))

    assert not attempt(house, owner, Delayed(house.plaintext(EMERGENCY), set_anew))
    assert house.access.sessions_opened_by(owner, "break-glass", house.clock.now()) == []
    assert attempt(house, owner, house.plaintext(f"{EMERGENCY} anew"))


def test_a_removal_or_deactivation_meanwhile_wins(house: House) -> None:
    """Nor does it pass the end of the credential or of the account."""
    owner = armed(house)
    removed = Delayed(house.plaintext(EMERGENCY), lambda: house.break_glass.remove(OPERATOR, owner))
    assert not attempt(house, owner, removed)
    armed(house)
    house.bootstrap.local_admin(OPERATOR, "second-admin", None)
    switched_off = Delayed(
        house.plaintext(EMERGENCY),
        lambda: house.accounts.set_status(OPERATOR, owner, "inactive") and None,
    )
    assert not attempt(house, owner, switched_off)


def test_a_sign_in_meanwhile_ends_with_the_change(house: House) -> None:
    """A session that the old password opens while a new one is set is dead when that is done."""
    owner = armed(house)

    def sign_in() -> None:
        assert attempt(house, owner, house.plaintext(EMERGENCY))

    class Slow(Delayed):
        def hash(self, context: list[str]) -> str:
            found = str(self._password.hash(context))
            while self._meanwhile:
                self._meanwhile.pop()()
            return found

    slow = Slow(house.plaintext(f"{EMERGENCY} anew"), sign_in)
    house.break_glass.set_password(OPERATOR, owner, slow)  # type: ignore[arg-type]  # delegates

    assert house.access.sessions_opened_by(owner, "break-glass", house.clock.now()) == []


def test_counts_without_a_second_factor(house: House) -> None:
    """Where admin needs a second factor, break-glass still gives it: that is what it is for."""
    owner = armed(house)
    plaintext = house.plaintext(EMERGENCY)
    found = house.break_glass.login(stranger(), EmergencySignIn(str(owner), owner, plaintext))
    caller = house.access.caller("session", found.session_id, house.clock.now())
    assert caller is not None
    assert (caller.origin, caller.acr, caller.roles) == ("break-glass", "aal1", ["admin"])


def test_expiry_is_swept(house: House) -> None:
    """A credential whose time is over is ended by the follower too, once, with an event."""
    owner = armed(house)
    policy = msgspec.structs.replace(house.app.policy, break_glass_expires_after=SECOND // 10)
    house.app.configuration = msgspec.structs.replace(house.app.configuration, policy=policy)
    house.break_glass.set_password(OPERATOR, owner, house.plaintext(EMERGENCY))
    head = house.store.head()
    expire_break_glass(house, house.clock.now())
    assert house.store.head() == head
    deadline = house.clock.now() + SECOND // 5
    while house.clock.now() < deadline:
        pass
    assert house.access.break_glass(house.clock.now()) == []
    for _ in range(2):
        expire_break_glass(house, house.clock.now())
    events = [one.event for one in house.store.read(head, 100)]
    assert events == [CredentialExpired(account_id=owner, cause="time")]


def test_unknown_accounts_leave_as_much(house: House) -> None:
    """A try at an account that nobody has leaves a keyed hash of what was typed, and no more."""
    head = house.store.head()
    nobody = UUID("00000000-0000-4000-8000-00000000dead")
    assert not attempt(house, nobody, house.plaintext(EMERGENCY))
    left = [one.event for one in house.store.read(head, 100)]
    assert len(left) == 2
    for event in left:
        assert isinstance(event, BreakGlassLoginFailed)
        assert (event.account_id, len(event.name_hash) >= 16) == (None, True)


def test_what_cannot_be_set(house: House) -> None:
    """Not for nobody, not for the deleted, and not the account's own name."""
    owner = armed(house)
    nobody = UUID("00000000-0000-4000-8000-00000000dead")
    with pytest.raises(NotFound):
        house.break_glass.set_password(OPERATOR, nobody, house.plaintext(EMERGENCY))
    with pytest.raises(WeakPassword):
        house.break_glass.set_password(OPERATOR, owner, house.plaintext("password1234"))
    house.bootstrap.local_admin(OPERATOR, "second-admin", None)
    house.accounts.set_status(OPERATOR, owner, "deleted")
    with pytest.raises(Conflict):
        house.break_glass.set_password(OPERATOR, owner, house.plaintext(EMERGENCY))


def test_over_http_under_a_key(served: Served) -> None:
    """Setting under one Idempotency-Key is one event, and the same answer again."""
    account = served.account("admin")
    body = {"account_id": account["id"], "password": EMERGENCY}
    key = {"Idempotency-Key": f"emergency-{account['id']}"}
    answers = [served.admin.post(CREDENTIALS, body, headers=key) for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.raw for answer in answers}) == 1
    assert len(served.events(f"&account={account['id']}&type=breakglass.credential_set")) == 1


def test_a_session_before_it_ends(served: Served) -> None:
    """An emergency sign-in takes the place of the session that its browser had."""
    account = served.account("admin")
    body = {"account_id": account["id"], "password": EMERGENCY}
    assert served.admin.post(CREDENTIALS, body).status == 201
    browser = Browser(served.client)
    assert browser.login(account["username"]).status == 200
    assert browser.call("POST", LOGIN, body, csrf=False).status == 204
    ended = served.events(f"&account={account['id']}&type=session.ended")
    assert [event["data"]["cause"] for event in ended] == ["replaced"]
