"""Break-glass: E49 to E55 of parity.md. certctl's eight negative cases are tests by name here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gatebook.api.break_glass_routes import BREAK_GLASS
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.browser import CSRF, SESSION
from tests.api.emergency import (
    CREDENTIALS,
    EMERGENCY,
    LOGIN,
    WRONG,
    address,
    armed,
    attempt,
    broken_in,
    said,
)
from tests.api.served import Deployment, Served
from tests.attacks.tools import at_once

NOBODY = "00000000-0000-4000-8000-00000000dead"
LOCK = 2.2
"""Seconds: a little more than the locks of `QUICK`."""


# --- E49


def _paths() -> list[tuple[str, str]]:
    return [(route.method, route.path.format(account_id=NOBODY)) for route in BREAK_GLASS]


@pytest.mark.parametrize("request_param", ["disabled"])
def test_e49_disabled_service_returns_err_disabled_on_all_ops(
    request_param: str, tmp_path: Path
) -> None:
    """Disabled: every route, with and without an admin's token, is an unknown one, byte by byte."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", breakglass="")
    deployment.create()
    with deployment.served() as served:
        for client in (served.client, served.admin):
            for method, path in _paths():
                body = {"account_id": NOBODY, "password": EMERGENCY} if method == "POST" else None
                there = said(client.call(method, path, body))
                unknown = said(client.call(method, f"/v1/{request_param}/nothing", body))
                assert there == unknown
                assert there[0] == 404
        document = served.client.get("/openapi.json").body
        assert not [path for path in document["paths"] if "breakglass" in path]
        assert served.events("&type=breakglass.login_failed") == []
    assert "breakglass" not in deployment.log()


def test_e49_enabled_is_told_at_every_start(behind_glass: Deployment) -> None:
    """Enabled: each start logs a warning."""
    for starts in (1, 2):
        with behind_glass.served():
            pass
        assert behind_glass.log().count('"breakglass"') == starts


# --- E50


def test_e50_weak_password_rejected(quick: Served) -> None:
    """11 bytes 400, 12 bytes 201, 256 bytes 201, 257 bytes 400; only the cost asked for is used."""
    account = quick.account("admin")
    long = "seven brass lanterns drift over quiet water " * 6
    for length, status in ((11, 400), (12, 201), (256, 201), (257, 400)):
        password = ("q7#Zp!m2Vx9&" + long)[:length]
        answer = quick.admin.post(CREDENTIALS, {"account_id": account["id"], "password": password})
        assert answer.status == status, (length, answer.raw)


def test_e50_password_hash_field_has_json_dash_tag(quick: Served) -> None:
    """No answer, listing or event shows a hash or a password."""
    account = armed(quick)
    broken_in(quick, account["id"], address())
    shown = [
        quick.admin.get(CREDENTIALS).raw,
        quick.admin.get(f"/v1/audit?account={account['id']}&limit=500").raw,
        quick.admin.get(f"/v1/accounts/{account['id']}/history").raw,
        quick.admin.post(CREDENTIALS, {"account_id": account["id"], "password": EMERGENCY}).raw,
    ]
    for raw in shown:
        assert b"argon2" not in raw
        assert EMERGENCY.encode() not in raw
        assert b'"secret"' not in raw
    found = quick.admin.get(CREDENTIALS).body["items"]
    assert set(found[0]) == {
        "account_id",
        "username",
        "set_at",
        "expires_at",
        "once",
        "last_used_at",
        "locked_until",
    }


def test_e50_password_never_appears_in_logs(behind_glass: Deployment) -> None:
    """Right, wrong, weak or malformed: no log line of any process holds what was sent."""
    with behind_glass.served() as served:
        account = armed(served)
        assert attempt(served.client, account["id"], EMERGENCY).status == 204
        assert attempt(served.client, account["id"], WRONG).status == 401
        served.client.post(LOGIN, raw=f'{{"password": "{WRONG}"'.encode())
        weak = {"account_id": account["id"], "password": "short-7x"}
        assert served.admin.post(CREDENTIALS, weak).status == 400
    behind_glass.check_log({EMERGENCY, WRONG, "short-7x", "$argon2", "gbs_"})


def test_e50_hash_parameters(behind_glass: Deployment) -> None:
    """As shipped, a hash is argon2id with 64 MiB, three passes and four lanes."""
    lines = [
        line
        for line in behind_glass.config.read_text().splitlines()
        if not line.startswith("argon2_")
    ]
    behind_glass.config.write_text("\n".join(lines))
    house = open_house(Settings.load(behind_glass.config, {}))
    try:
        phc = house.plaintext(EMERGENCY).hash([])
    finally:
        house.close()
    assert phc.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


# --- E51


def test_e51_one_answer(quick: Served) -> None:
    """Wrong, unknown, locked, no credential, not permitted, malformed, empty: one 401."""
    account, plain, locked = armed(quick), quick.account("admin"), armed(quick)
    lacking, off, gone = armed(quick, "operator"), armed(quick), armed(quick)
    from_locked = address()
    for _ in range(3):
        attempt(quick.client, locked["id"], WRONG, from_locked)
    assert quick.admin.patch(f"/v1/accounts/{off['id']}", {"status": "inactive"}).status == 200
    assert quick.admin.delete(f"/v1/accounts/{gone['id']}").status == 204
    client = quick.client
    answers = {
        "wrong": attempt(client, account["id"], WRONG, address()),
        "unknown": attempt(client, NOBODY, EMERGENCY, address()),
        "no id": attempt(client, "somebody", EMERGENCY, address()),
        "locked": attempt(client, locked["id"], EMERGENCY, from_locked),
        "no credential": attempt(client, plain["id"], EMERGENCY, address()),
        "not permitted": attempt(client, lacking["id"], EMERGENCY, address()),
        "inactive": attempt(client, off["id"], EMERGENCY, address()),
        "deleted": attempt(client, gone["id"], EMERGENCY, address()),
        "no password": attempt(client, account["id"], "", address()),
        "half a character": client.post(
            LOGIN, raw=b'{"account_id": "x", "password": "\\ud800"}', headers=address()
        ),
        "malformed": client.post(LOGIN, raw=b"{", headers=address()),
        "empty": client.post(LOGIN, raw=b"", headers=address()),
        "array": client.post(LOGIN, raw=b"[]", headers=address()),
        "more members": client.post(LOGIN, {"a": 1}, headers=address()),
        "too long": client.post(LOGIN, raw=b'"' + b"x" * 60_000, headers=address()),
        "a form": client.post(
            LOGIN, raw=b"a=b", headers=address() | {"Content-Type": "text/plain"}
        ),
    }
    expected = said(answers["wrong"])
    assert expected[0] == 401
    for cause, answer in answers.items():
        assert said(answer) == expected, cause


def test_e51_success_sets_cookies(quick: Served) -> None:
    """The right password is a 204 with session and CSRF cookies, and a session that may act."""
    account = armed(quick)

    browser = broken_in(quick, account["id"], address())

    assert set(browser.jar) == {SESSION, CSRF}
    me = browser.get("/v1/auth/me").body
    assert me["account"]["id"] == account["id"]
    assert me["roles"] == ["admin"]
    assert [one["origin"] for one in me["sessions"] if one["current"]] == ["break-glass"]
    body = {"username": f"made-in-need-{account['username']}", "type": "system"}
    assert browser.call("POST", "/v1/accounts", body).status == 201


def test_e51_authenticate_wrong_password_increments_failure_count_and_audits(
    quick: Served,
) -> None:
    """Each wrong password is counted and recorded before its answer, with where it came from."""
    account, where = armed(quick), address()
    for count in (1, 2):
        assert attempt(quick.client, account["id"], WRONG, where).status == 401
        events = quick.events(f"&account={account['id']}&type=breakglass.login_failed")
        counted = [(event["data"]["scope"], event["data"]["failures"]) for event in events]
        assert counted[-2:] == [("address", count), ("account", count)]
    assert events[-1]["category"] == "auth"
    assert events[-1]["data"]["cause"] == "wrong-password"
    assert events[-1]["source"]["ip"] == where["X-Forwarded-For"]


# --- E52


def test_e52_threshold_exceeded_locks_account_and_returns_identical_error(quick: Served) -> None:
    """After the threshold the right password is refused like the wrong one, without an event."""
    account, where = armed(quick), address()
    wrong = [said(attempt(quick.client, account["id"], WRONG, where)) for _ in range(3)]
    before = quick.head()

    right = said(attempt(quick.client, account["id"], EMERGENCY, where))

    assert [right] * 3 == wrong
    assert quick.head() == before


def test_e52_lockout_window_expires_and_correct_password_succeeds(quick: Served) -> None:
    """When the lock is over the right password is good again."""
    account, where = armed(quick), address()
    for _ in range(3):
        attempt(quick.client, account["id"], WRONG, where)
    assert attempt(quick.client, account["id"], EMERGENCY, where).status == 401
    time.sleep(LOCK)

    assert attempt(quick.client, account["id"], EMERGENCY, where).status == 204


def test_e52_unlock_by_admin(quick: Served) -> None:
    """An administrator's unlock ends every lock of the account early; the listing shows them."""
    account, where = armed(quick), address()
    for _ in range(3):
        attempt(quick.client, account["id"], WRONG, where)
    listed = quick.admin.get(f"{CREDENTIALS}?limit=500").body["items"]
    [shown] = [one for one in listed if one["account_id"] == account["id"]]
    assert shown["locked_until"] is not None

    assert quick.admin.post(f"{CREDENTIALS}/{account['id']}/unlock").status == 204

    assert attempt(quick.client, account["id"], EMERGENCY, where).status == 204


def test_e52_failures_are_forgotten(quick: Served) -> None:
    """Failures older than the reset interval do not count."""
    account, where = armed(quick), address()
    for _ in range(2):
        attempt(quick.client, account["id"], WRONG, where)
    time.sleep(LOCK)
    attempt(quick.client, account["id"], WRONG, where)
    events = quick.events(f"&account={account['id']}&type=breakglass.login_failed")
    assert [e["data"]["failures"] for e in events if e["data"]["scope"] == "address"] == [1, 2, 1]


def test_e52_strangers_do_not_lock_the_owner_out(quick: Served) -> None:
    """One address that is locked leaves the owner's at liberty."""
    account, stranger = armed(quick), address()
    for _ in range(4):
        assert attempt(quick.client, account["id"], WRONG, stranger).status == 401

    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 204


def test_e52_concurrent_failures_count_exactly(quick: Served) -> None:
    """20 wrong passwords at once from 20 addresses: 20 counted, from 1 to 20."""
    account = armed(quick)

    answers = at_once(20, lambda _n: attempt(quick.client, account["id"], WRONG, address()).status)

    assert set(answers) == {401}
    events = quick.events(f"&account={account['id']}&type=breakglass.login_failed")
    counted = [e["data"]["failures"] for e in events if e["data"]["scope"] == "account"]
    assert counted == list(range(1, 21))


def test_e52_many_addresses_lock_the_account(quick: Served) -> None:
    """Ten times the threshold from anywhere locks for every address, the owner's too."""
    account = armed(quick)
    for _ in range(30):
        assert attempt(quick.client, account["id"], WRONG, address()).status == 401

    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 401
