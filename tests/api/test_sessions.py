"""Sessions in a browser beyond E43 to E48: ids that change, what replaces what, who sees which."""

from __future__ import annotations

import pytest

from tests.api.browser import CSRF, DEVICE, SESSION, Browser, cause, cookies_of, signed_in
from tests.api.served import PASSWORD, Served

NEXT = "another tractor hums at dusk 43"


def _ended(served: Served, account_id: str) -> list[str]:
    events = served.events(f"&account={account_id}&type=session.ended")
    return [event["data"]["cause"] for event in events]


def test_a_change_of_password_changes_the_id(served: Served) -> None:
    """The session goes on under a new id and CSRF token; the old cookie is dead; times stay."""
    account, browser = signed_in(served)
    before = browser.get("/v1/auth/sessions").body["items"][0]
    old = dict(browser.jar)
    change = {"current_password": PASSWORD, "new_password": NEXT}

    answer = browser.call("PUT", "/v1/auth/password", change)

    assert answer.status == 204
    assert set(cookies_of(answer)) == {SESSION, CSRF}
    assert browser.jar[SESSION] != old[SESSION]
    assert browser.jar[CSRF] != old[CSRF]
    [after] = browser.get("/v1/auth/sessions").body["items"]
    assert after["id"] != before["id"]
    assert (after["expires_at"], after["amr"]) == (before["expires_at"], before["amr"])
    browser.jar = old
    assert cause(browser.get("/v1/auth/me")) == (401, "revoked")
    assert SESSION in browser.jar  # it may hold the new one by now
    assert _ended(served, account["id"]) == ["reissued"]


def test_a_wrong_current_password_changes_nothing(served: Served) -> None:
    """A refused change leaves session and cookies as they are."""
    _, browser = signed_in(served)
    kept = dict(browser.jar)
    change = {"current_password": "wrong tractor 1234", "new_password": NEXT}
    assert browser.call("PUT", "/v1/auth/password", change).status == 401
    assert browser.jar == kept
    assert browser.get("/v1/auth/me").status == 200


def test_by_bearer_nothing_is_reissued(served: Served) -> None:
    """Who changes his password by token keeps his session, and gets no cookie."""
    _, client = served.signed_in()
    change = {"current_password": PASSWORD, "new_password": NEXT}
    answer = client.put("/v1/auth/password", change)
    assert (answer.status, cookies_of(answer)) == (204, {})
    assert client.get("/v1/auth/me").status == 200


def test_signing_in_again_ends_the_session_before(served: Served) -> None:
    """A sign-in in the same browser, as whomever, leaves no former cookie alive (fixation)."""
    account, browser = signed_in(served)
    other = served.account()
    old = browser.jar[SESSION]
    assert browser.login(other["username"]).status == 200
    assert browser.get("/v1/auth/me").body["account"]["id"] == other["id"]
    stolen = Browser(served.client)
    stolen.jar = {SESSION: old}
    assert cause(stolen.get("/v1/auth/me")) == (401, "revoked")
    assert _ended(served, account["id"]) == ["replaced"]


def test_a_failed_sign_in_ends_nothing(served: Served) -> None:
    """A wrong password leaves the browser's session alone, and so does a sign-in for tokens."""
    account, browser = signed_in(served)
    assert browser.login(account["username"], "wrong tractor 1234").status == 401
    body = {"username": account["username"], "password": PASSWORD}
    assert browser.call("POST", "/v1/auth/login", body).status == 200
    assert browser.get("/v1/auth/me").status == 200


@pytest.mark.parametrize("everywhere", [False, True])
def test_signing_out(served: Served, everywhere: bool) -> None:
    """It clears the cookies but the device's, and ends this session or all."""
    account, browser = signed_in(served)
    other = Browser(served.client)
    other.login(account["username"])
    path = "/v1/auth/logout?all=true" if everywhere else "/v1/auth/logout"
    assert browser.call("POST", path).status == 204
    assert set(browser.jar) == {DEVICE}
    assert other.get("/v1/auth/me").status == (401 if everywhere else 200)


def test_listed_sessions(served: Served) -> None:
    """Browser and token sessions stand in one list; the one that asks is marked."""
    account, browser = signed_in(served)
    client = served.client.with_token(served.token(account["username"]))
    for asking in (browser, client):
        listed = asking.get("/v1/auth/sessions").body["items"]
        assert len(listed) == 2
        assert [one["current"] for one in listed].count(True) == 1
    shown = browser.get("/v1/auth/me").body["sessions"]
    assert {one["id"] for one in shown} == {one["id"] for one in listed}


def test_others_need_a_session(served: Served) -> None:
    """Who calls with a token of no session has no other sessions: a conflict, and nothing ends."""
    account = served.account(kind="system")
    issued = served.admin.post("/v1/token/issue", {"account_id": account["id"]}).body
    client = served.client.with_token(issued["access_token"])
    assert client.delete("/v1/auth/sessions?others=true").status == 409
    assert client.get("/v1/auth/me").status == 200


def test_no_cookie_opens_the_token_way(served: Served) -> None:
    """A session cookie is no bearer token, and a browser's session has nothing to renew."""
    _, browser = signed_in(served)
    cookie = browser.jar[SESSION]
    assert served.client.with_token(cookie).get("/v1/auth/me").status == 401
    assert served.client.post("/v1/auth/renew", {"refresh_token": cookie}).status == 401
    assert served.client.post("/v1/token/validate", {"token": cookie}).body == {"valid": False}


def test_no_cross_origin_answers(served: Served) -> None:
    """Nothing is readable from another origin, whatever it calls itself."""
    _, browser = signed_in(served)
    for origin in ("https://evil.example", "null", f"http://{served.client.host}.evil.example"):
        answer = browser.get("/v1/auth/me", headers={"Origin": origin})
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert browser.call("POST", "/v1/auth/logout", headers={"Origin": origin}).status == 403
    assert browser.get("/v1/auth/me").status == 200
