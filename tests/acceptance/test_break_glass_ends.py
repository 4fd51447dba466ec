"""Break-glass: E53 to E55 of parity.md."""

from __future__ import annotations

import time

import pytest

from tests.api.browser import CSRF, SESSION, cookies_of
from tests.api.emergency import (
    CREDENTIALS,
    EMERGENCY,
    LOGIN,
    WRONG,
    address,
    armed,
    attempt,
    broken_in,
)
from tests.api.served import ADMIN, ADMIN_PASSWORD, Client, Deployment, Served

NOBODY = "00000000-0000-4000-8000-00000000dead"
LOCK = 2.2
"""Seconds: a little more than the locks of `QUICK`."""


# --- E53


def test_e53_six_in_a_minute(behind_glass: Deployment) -> None:
    """The sixth try of a minute from one socket is a 429, whatever X-Forwarded-For says."""
    with behind_glass.served() as served:
        account = armed(served)
        for number in range(5):
            header = {"X-Forwarded-For": f"203.0.113.{number}"}
            assert attempt(served.client, account["id"], WRONG, header).status == 401

        refused = attempt(served.client, account["id"], EMERGENCY, {"X-Forwarded-For": "9.9.9.9"})

        assert (refused.status, refused.body["type"].rpartition("/")[2]) == (
            429,
            "too-many-attempts",
        )
        assert 1 <= int(refused.headers["Retry-After"]) <= 12
        malformed = served.client.post(LOGIN, raw=b"{")
        assert malformed.status == 429
        failed = served.events(f"&account={account['id']}&type=breakglass.login_failed")
        assert len([e for e in failed if e["data"]["scope"] == "address"]) == 5


def test_e53_from_a_trusted_proxy(quick: Served) -> None:
    """From a trusted proxy the rightmost untrusted hop is the key; what it names itself is not."""
    account = armed(quick)
    mine = address()["X-Forwarded-For"]

    def tried(header: str) -> int:
        where = {"X-Forwarded-For": header}
        return attempt(quick.client, account["id"], WRONG, where).status

    assert [tried(f"10.0.0.{number}, {mine}") for number in range(5)] == [401] * 5
    assert tried(f"10.9.9.9, {mine}") == 429
    assert tried(f"{mine}, {address()['X-Forwarded-For']}") == 401
    six = [f"2001:db8:77:1::{number}" for number in range(6)]
    assert [tried(one) for one in six] == [401] * 5 + [429]
    assert tried("2001:db8:77:2::1") == 401


# --- E54


def test_e54_one_use(behind_glass: Deployment) -> None:
    """With expires_after = "first-use" the second use is a 401, and the end is an event."""
    behind_glass.config.write_text(
        behind_glass.config.read_text().replace(
            "enabled = true", 'enabled = true\nexpires_after = "first-use"'
        )
    )
    with behind_glass.served() as served:
        account = armed(served)
        browser = broken_in(served, account["id"])
        assert attempt(served.client, account["id"], EMERGENCY).status == 401
        assert browser.get("/v1/auth/me").status == 200
        [expired] = served.events(f"&account={account['id']}&type=breakglass.credential_expired")
        assert expired["data"]["cause"] == "first-use"
        assert served.admin.get(CREDENTIALS).body["items"] == []
        assert served.admin.delete(f"{CREDENTIALS}/{account['id']}").status == 404


def test_e54_after_its_time(behind_glass: Deployment) -> None:
    """With a lifetime: after it 401, and the end is an event, recorded once."""
    behind_glass.config.write_text(
        behind_glass.config.read_text().replace(
            "enabled = true", 'enabled = true\nexpires_after = "2s"'
        )
    )
    with behind_glass.served() as served:
        account = armed(served)
        assert attempt(served.client, account["id"], EMERGENCY).status == 204
        time.sleep(LOCK)
        for _ in range(2):
            assert attempt(served.client, account["id"], EMERGENCY).status == 401
        [expired] = served.events(f"&account={account['id']}&type=breakglass.credential_expired")
        assert expired["data"]["cause"] == "time"
        failed = served.events(f"&account={account['id']}&type=breakglass.login_failed")
        causes = [e["data"]["cause"] for e in failed if e["data"]["scope"] == "address"]
        assert causes == ["expired", "no-credential"]


def test_e54_deactivated(quick: Served) -> None:
    """A deactivated account's emergency password opens nothing, and its session is dead."""
    account = armed(quick)
    browser = broken_in(quick, account["id"], address())
    path = f"/v1/accounts/{account['id']}"
    assert quick.admin.patch(path, {"status": "inactive"}).status == 200

    assert browser.get("/v1/auth/me").status == 401
    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 401
    assert quick.admin.patch(path, {"status": "active"}).status == 200
    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 204


def test_e54_the_permission_counts_at_that_moment(quick: Served) -> None:
    """Without auth.breakglass.login the right password is a 401, from the moment it is gone."""
    account = armed(quick)
    path = f"/v1/accounts/{account['id']}/roles/admin"
    assert quick.admin.delete(path).status == 204
    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 401
    assert quick.admin.put(path).status == 204
    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 204


# --- E55


@pytest.mark.parametrize("deed", ["set", "remove"])
def test_e55_its_sessions_end(quick: Served, deed: str) -> None:
    """Setting or removing a credential ends what it opened, and nothing else; caller and target."""
    account = armed(quick)
    browser = broken_in(quick, account["id"], address())
    other = quick.client.with_token(quick.token(account["username"]))
    caller = quick.admin.get("/v1/auth/me").body["account"]["id"]

    if deed == "set":
        body = {"account_id": account["id"], "password": f"{EMERGENCY} anew"}
        assert quick.admin.post(CREDENTIALS, body, headers=address()).status == 201
    else:
        path = f"{CREDENTIALS}/{account['id']}"
        assert quick.admin.delete(path, headers=address()).status == 204

    assert browser.get("/v1/auth/me").status == 401
    assert other.get("/v1/auth/me").status == 200
    assert attempt(quick.client, account["id"], EMERGENCY, address()).status == 401
    kind = "credential_set" if deed == "set" else "credential_removed"
    event = quick.events(f"&account={account['id']}&type=breakglass.{kind}")[-1]
    assert event["actor"] == {"type": "account", "id": caller}
    assert event["account_id"] == account["id"]
    assert event["source"]["ip"].startswith("198.")


def test_e55_who_may_manage(quick: Served) -> None:
    """Both permissions belong to administrators alone; nobody manages without."""
    account = armed(quick)
    body = {"account_id": account["id"], "password": EMERGENCY}
    _, operator = quick.signed_in("operator")
    _, auditor = quick.signed_in("auditor")
    for client, status in ((quick.client, 401), (operator, 403), (auditor, 403)):
        assert client.get(CREDENTIALS).status == status
        assert client.post(CREDENTIALS, body).status == status
        assert client.post(f"{CREDENTIALS}/{account['id']}/unlock").status == status
        assert client.delete(f"{CREDENTIALS}/{account['id']}").status == status
    nobody = {"account_id": NOBODY, "password": EMERGENCY}
    assert quick.admin.post(CREDENTIALS, nobody).status == 404


def test_e55_no_federation_no_mail(behind_glass: Deployment) -> None:
    """The first administrator alone, with no provider, address or prior sign-in, is enough."""
    with behind_glass.served() as served:
        admin = served.client.login(ADMIN, ADMIN_PASSWORD)
        client = Client(served.client.host, served.client.port, admin["access_token"])
        body = {"account_id": admin["account_id"], "password": EMERGENCY}
        assert client.post(CREDENTIALS, body).status == 201
        assert client.post("/v1/auth/logout?all=true").status == 204
        answer = attempt(served.client, admin["account_id"], EMERGENCY)
        assert answer.status == 204
        assert {SESSION, CSRF} <= set(cookies_of(answer))
