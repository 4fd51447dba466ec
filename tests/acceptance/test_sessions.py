"""Sessions in a browser: E43 to E48 of parity.md."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest

from tests.acceptance.conftest import SERVER
from tests.api.browser import CSRF, DEVICE, SESSION, Browser, cause, cookies_of, signed_in
from tests.api.served import PASSWORD, Deployment, Served
from tests.postgres import running_cluster

NEXT = "another tractor hums at dusk 43"
SHORT = '[sessions]\nidle = "2s"\nabsolute = "8h"\n'
IDLE = 2.2


# --- E43


def test_e43_cookies(served: Served) -> None:
    """A login sets session and CSRF cookies: HttpOnly, SameSite, Path, no Domain; a fresh id."""
    account, browser = served.account(), Browser(served.client)
    browser.jar[SESSION] = planted = "gbs_" + "A" * 64

    answer = browser.login(account["username"])

    set_now = cookies_of(answer)
    assert set(set_now) == {SESSION, CSRF, DEVICE}
    for name, morsel in set_now.items():
        assert morsel["path"] == "/"
        assert morsel["samesite"] == "Lax"
        assert morsel["domain"] == ""
        assert bool(morsel["httponly"]) == (name != CSRF)
        assert not morsel["secure"]  # plain HTTP on loopback
    assert browser.session != planted
    assert len(urlsafe_b64decode(browser.session[4:])) == 48
    assert answer.body["csrf_token"] == browser.jar[CSRF]
    assert "access_token" not in answer.body
    first = browser.session
    assert browser.login(account["username"]).status == 200
    assert browser.session != first


@pytest.mark.parametrize(
    "line", ["behind_tls_proxy = true", 'public_url = "https://auth.example.org"']
)
def test_e43_behind_tls(line: str, empty: Deployment) -> None:
    """Behind TLS every name begins with __Host-, every cookie is Secure, and HSTS is said."""
    config = empty.config.read_text()
    empty.config.write_text(config.replace("[server]", f"[server]\n{line}", 1))
    empty.create()
    with empty.served() as served:
        account = served.account()
        answer = Browser(served.client).login(account["username"])

    assert "max-age" in answer.headers["Strict-Transport-Security"]
    set_now = cookies_of(answer)
    assert set(set_now) == {f"__Host-{name}" for name in (SESSION, CSRF, DEVICE)}
    for morsel in set_now.values():
        assert morsel["secure"]
        assert (morsel["path"], morsel["domain"]) == ("/", "")


# --- E44


def test_e44_csrf(served: Served) -> None:
    """With the cookie: no or a wrong token 403, the right one 2xx; Bearer and GET need none."""
    account, browser = signed_in(served)
    _, other = signed_in(served)
    change = {"current_password": PASSWORD, "new_password": NEXT}

    def changed(sent: dict[str, str]) -> int:
        answer = browser.call("PUT", "/v1/auth/password", change, csrf=False, headers=sent)
        if answer.status == 403:
            assert answer.body["type"].endswith("csrf")
        return answer.status

    token = browser.jar[CSRF]
    for wrong in ("", token[:-1], token + "A", other.jar[CSRF], f'["{token}"]', "null"):
        assert changed({"X-CSRF-Token": wrong}) == 403, wrong
    assert changed({}) == 403
    right = {"X-CSRF-Token": token}
    assert changed(right | {"Origin": "null"}) == 403
    assert changed(right | {"Origin": "https://evil.example"}) == 403
    assert changed(right | {"Sec-Fetch-Site": "cross-site"}) == 403
    own = f"http://{served.client.host}:{served.client.port}"
    assert changed(right | {"Origin": own, "Sec-Fetch-Site": "same-origin"}) == 204
    assert browser.get("/v1/auth/me", csrf=False).status == 200
    bearer = served.client.with_token(served.token(account["username"], NEXT))
    assert bearer.post("/v1/auth/logout").status == 204


def test_e44_a_differing_csrf_cookie(served: Served) -> None:
    """The right header beside another page's CSRF cookie is refused."""
    _, browser = signed_in(served)
    token, browser.jar[CSRF] = browser.jar[CSRF], "of-another-session"

    answer = browser.call("POST", "/v1/auth/logout", headers={"X-CSRF-Token": token})

    assert answer.status == 403


# --- E45


def test_e45_what_is_no_cookie_of_ours(served: Served) -> None:
    """A byte tampered with anywhere, other versions, swapped parts, other cookies, 5 KiB: 401."""
    _, browser = signed_in(served)
    good = browser.session
    raw = urlsafe_b64decode(good[4:])

    def packed(content: bytes) -> str:
        return "gbs_" + urlsafe_b64encode(content).rstrip(b"=").decode()

    tampered = [packed(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) for at in range(len(raw))]
    wrong = [
        *tampered,
        "gbt_" + good[4:],
        "v2." + good,
        good[4:],
        good.upper(),
        packed(raw[16:] + raw[:16]),
        packed(raw[:47]),
        packed(raw + b"\0"),
        browser.jar[DEVICE],
        browser.jar[CSRF],
        "gbs_" + "A" * 5 * 1024,
    ]
    for value in wrong:
        browser.jar[SESSION] = value
        answer = browser.get("/v1/auth/me")
        assert cause(answer) == (401, "invalid_token"), value
        assert SESSION not in browser.jar
    browser.jar[SESSION] = good
    twice = {"Cookie": f"{SESSION}={good}; {SESSION}={good}"}
    assert cause(served.client.get("/v1/auth/me", headers=twice)) == (401, "invalid_token")
    assert browser.get("/v1/auth/me").status == 200


def test_e45_a_bearer_beside_a_bad_cookie(served: Served) -> None:
    """An Authorization header decides, whatever the cookie is; without either an unsafe call: 401.

    Nobody is told of CSRF who is not signed in.
    """
    _, client = served.signed_in()
    bad = {"Cookie": f"{SESSION}=gbs_bad"}

    assert client.get("/v1/auth/me", headers=bad).status == 200
    assert served.client.post("/v1/auth/logout", headers=bad).status == 401
    assert served.client.post("/v1/auth/logout").status == 401


@pytest.fixture(params=["sqlite", "postgresql"])
def short(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """A deployment whose browser sessions end after two idle seconds."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url, server=SERVER, more=SHORT)
    deployment.create()
    return deployment


def test_e45_idle_and_absolute(short: Deployment) -> None:
    """Used in time it lives on; unused for too long: idle_timeout, once in the log; its end: so."""
    with short.served() as served:
        account, used = signed_in(served)
        _, idle = signed_in(served)
        for _ in range(4):
            time.sleep(0.8)
            assert used.get("/v1/auth/me").status == 200
        listed = used.get("/v1/auth/sessions").body["items"]
        assert [one["current"] for one in listed] == [True]
        kept = dict(idle.jar)
        for _ in range(2):
            idle.jar = dict(kept)
            assert cause(idle.get("/v1/auth/me")) == (401, "idle_timeout")
            assert idle.jar == {DEVICE: kept[DEVICE]}
        ended = served.events("&type=session.ended")
        assert [event["data"]["cause"] for event in ended] == ["idle"]
        time.sleep(IDLE)
        assert used.client.with_token(None).get("/v1/health").status == 200
        assert cause(used.get("/v1/auth/me")) == (401, "idle_timeout")
        assert account["id"] != ended[0]["account_id"]


def test_e45_absolute(short: Deployment) -> None:
    """However much it is used, a session ends when its time is over: absolute_timeout."""
    short.config.write_text(
        short.config.read_text().replace('idle = "2s"\nabsolute = "8h"', 'absolute = "2s"')
    )
    with short.served() as served:
        _, browser = signed_in(served)
        kept = dict(browser.jar)
        assert browser.get("/v1/auth/me").status == 200
        time.sleep(IDLE)
        for _ in range(2):
            browser.jar = dict(kept)
            assert cause(browser.get("/v1/auth/me")) == (401, "absolute_timeout")


def test_e45_revoked(served: Served) -> None:
    """Ended by sign-out, by an operator, or with the account: revoked, from that answer on."""
    account, one = signed_in(served)
    two, three = Browser(served.client), Browser(served.client)
    for browser in (two, three):
        assert browser.login(account["username"]).status == 200
    kept = dict(one.jar)
    assert one.call("POST", "/v1/auth/logout").status == 204
    assert set(one.jar) == {DEVICE}
    one.jar = kept
    assert cause(one.get("/v1/auth/me")) == (401, "revoked")
    session_id = str(two.get("/v1/auth/sessions").body["items"][0]["id"])
    path = f"/v1/accounts/{account['id']}"
    assert served.admin.delete(f"{path}/sessions/{session_id}").status == 204
    assert {cause(two.get("/v1/auth/me"))[0], three.get("/v1/auth/me").status} == {401, 200}
    assert served.admin.patch(path, {"status": "inactive"}).status == 200
    assert cause(two.get("/v1/auth/me")) == (401, "revoked")
    assert cause(three.get("/v1/auth/me")) == (401, "revoked")


# --- E46


def test_e46_own_sessions(served: Served) -> None:
    """Anybody lists and ends his own sessions; another's are not there; others=true keeps this."""
    account, browser = signed_in(served)
    bearer = served.client.with_token(served.token(account["username"]))
    second = Browser(served.client)
    second.login(account["username"])
    _, stranger = signed_in(served)

    listed = browser.get("/v1/auth/sessions").body["items"]
    assert len(listed) == 3
    [this] = [one["id"] for one in listed if one["current"]]
    for one in listed:
        path = f"/v1/auth/sessions/{one['id']}"
        assert stranger.call("DELETE", path).status == 404
        there = f"/v1/accounts/{account['id']}/sessions/{one['id']}"
        assert stranger.call("DELETE", there).status == 403
    assert stranger.get(f"/v1/accounts/{account['id']}/sessions").status == 403
    assert browser.call("DELETE", "/v1/auth/sessions").status == 400
    assert browser.call("DELETE", "/v1/auth/sessions?others=false").status == 400
    assert browser.call("DELETE", "/v1/auth/sessions?others=true").status == 204
    assert cause(second.get("/v1/auth/me")) == (401, "revoked")
    assert bearer.get("/v1/auth/me").status == 401
    assert [one["id"] for one in browser.get("/v1/auth/sessions").body["items"]] == [this]
    assert browser.call("DELETE", f"/v1/auth/sessions/{this}").status == 204
    assert SESSION not in browser.jar


# --- E47


def test_e47_other_sessions_write_on(served: Served) -> None:
    """After a change of roles another open session goes on; /v1/auth/me gives its CSRF cookie."""
    account, browser = signed_in(served)
    path = f"/v1/accounts/{account['id']}/roles/viewer"
    assert served.admin.put(path).status == 204
    del browser.jar[CSRF]
    assert browser.call("POST", "/v1/auth/logout").status == 403

    me = browser.get("/v1/auth/me")

    assert me.body["roles"] == ["viewer"]
    assert CSRF in browser.jar
    change = {"current_password": PASSWORD, "new_password": NEXT}
    assert browser.call("PUT", "/v1/auth/password", change).status == 204


# --- E48


def test_e48_store_outage(tmp_path: Path) -> None:
    """While the store is away a request with a session is 503 with Retry-After, never 401."""
    with running_cluster() as postgres:
        deployment = Deployment(tmp_path, postgres.url(), server=SERVER)
        deployment.create()
        with deployment.served() as served:
            _, browser = signed_in(served)
            kept = dict(browser.jar)
            postgres.stop("immediate")
            for path in ("/v1/auth/me", "/v1/auth/sessions"):
                answer = browser.get(path)
                assert (answer.status, answer.headers["Retry-After"] is None) == (503, False)
                assert browser.jar == kept
            postgres.start()
            deadline = time.monotonic() + 30
            while browser.get("/v1/auth/me").status == 503 and time.monotonic() < deadline:
                time.sleep(0.2)
            assert browser.get("/v1/auth/me").status == 200
