"""Signing in and out, renewing, one's own password and sessions, bearer tokens."""

from __future__ import annotations

import json
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.served import ELSEWHERE, PASSWORD, Answer, Served


def refused(served: Served, username: str, password: str = "quite another thing 7") -> Answer:
    return served.client.post(
        "/v1/auth/login",
        {"username": username, "password": password},
        headers={"X-Request-Id": "same"},
    )


def test_login(served: Served) -> None:
    """A sign-in answers with a pair, is not cached, and is in the log."""
    account = served.account()
    answer = served.client.post(
        "/v1/auth/login", {"username": account["username"], "password": PASSWORD}
    )

    assert set(answer.body) == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "account_id",
    }
    assert (answer.body["token_type"], answer.body["account_id"]) == ("Bearer", account["id"])
    assert 0 < answer.body["expires_in"] <= 900
    assert answer.headers["Cache-Control"] == "no-store"
    types = [one["type"] for one in served.events(f"&account={account['id']}")]
    assert types[-2:] == ["login.succeeded", "session.opened"]


def test_refusals_are_alike(served: Served) -> None:
    """Whatever is wrong with a sign-in, the answer is the same to the byte."""
    wrong, inactive, deleted, locked = (served.account()["username"] for _ in range(4))
    without = served.account(password=None)["username"]
    ids = {one["username"]: one["id"] for one in _listed(served)}
    served.admin.patch(f"/v1/accounts/{ids[inactive]}", {"status": "inactive"})
    served.admin.delete(f"/v1/accounts/{ids[deleted]}")
    for _ in range(5):
        refused(served, locked)

    answers = [
        refused(served, wrong),
        refused(served, f"nobody-{uuid.uuid4()}"[:60]),
        refused(served, "not a name\u200b"),
        refused(served, wrong, ""),
        refused(served, wrong, "x" * 4000),
        refused(served, without),
        refused(served, inactive, PASSWORD),
        refused(served, deleted, PASSWORD),
        refused(served, locked, PASSWORD),
    ]

    assert {answer.status for answer in answers} == {401}
    assert len({answer.raw for answer in answers}) == 1
    assert len({tuple(sorted(_fixed(answer).items())) for answer in answers}) == 1
    assert answers[0].body["type"].endswith("/problems/invalid-credentials")


def _fixed(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() != "date"}


def _listed(served: Served) -> list[Any]:
    found: list[Any] = []
    after = ""
    for _ in range(100):
        body = served.admin.get(f"/v1/accounts?limit=500{after}").body
        found += body["items"]
        if body["next"] is None:
            break
        after = f"&after={body['next']}"
    return found


def test_lockout_holds_under_a_race(served: Served) -> None:
    """However many guess at once on two processes, a lock lets no more than five be verified."""
    account = served.account()

    def guess(_number: int) -> int:
        return refused(served, account["username"]).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(guess, range(24))) <= {401, 503}
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert len(failed) == 5
    assert failed[-1]["data"]["locked_until"] is not None
    assert refused(served, account["username"], PASSWORD).status == 401
    assert served.admin.post(f"/v1/accounts/{account['id']}/unlock").status == 204
    assert served.client.login(account["username"], PASSWORD)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("Bearer {t}", 200),
        ("bearer {t}", 200),
        ("BEARER {t}", 200),
        ("Basic {t}", 401),
        ("Bearer{t}", 401),
        ("BearerX {t}", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer  {t}", 401),
        ("Bearer\t{t}", 401),
        ("Bearer {t} x", 401),
        ("Bearer {t}, Bearer {t}", 401),
        ("Bearer {t},{t}", 401),
        ("Bearer {t}=", 401),
        ('Bearer "{t}"', 401),
        ("{t}", 401),
        ("", 401),
        ("Token {t}", 401),
        ("Bearer null", 401),
    ],
)
def test_bearer_forms(served: Served, form: str, status: int) -> None:
    """One scheme, one space, one token: all else is a 401 that names the scheme."""
    token = served.admin.token or ""
    answer = served.client.get("/v1/auth/me", headers={"Authorization": form.format(t=token)})

    assert answer.status == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_two_authorization_headers(served: Served) -> None:
    """Two Authorization headers are one too many, even if both are right."""
    line = f"Authorization: Bearer {served.admin.token}\r\n"
    request = f"GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}{line}\r\n"
    with socket.create_connection((served.client.host, served.client.port), timeout=10) as raw:
        raw.sendall(request.encode())
        said = raw.recv(4096)

    assert said.startswith(b"HTTP/1.1 401")


def test_renew(served: Served) -> None:
    """A renewal gives a new pair, and the old access token is dead."""
    account = served.account()
    first = served.client.login(account["username"], PASSWORD)
    second = served.client.post("/v1/auth/renew", {"refresh_token": first["refresh_token"]}).body

    assert served.client.with_token(first["access_token"]).get("/v1/auth/me").status == 401
    assert served.client.with_token(second["access_token"]).get("/v1/auth/me").status == 200


def test_reuse_ends_the_family(served: Served) -> None:
    """A refresh token shown again from elsewhere ends its session, and that is an event."""
    account = served.account()
    first = served.client.login(account["username"], PASSWORD)
    old = {"refresh_token": first["refresh_token"]}
    second = served.client.post("/v1/auth/renew", old).body

    assert served.client.post("/v1/auth/renew", old, headers=ELSEWHERE).status == 401
    assert served.client.with_token(second["access_token"]).get("/v1/auth/me").status == 401
    again = {"refresh_token": second["refresh_token"]}
    assert served.client.post("/v1/auth/renew", again).status == 401
    assert served.events(f"&account={account['id']}&type=token.reuse_detected")


def test_a_lost_answer_is_given_again(served: Served) -> None:
    """The same client asks again within ten seconds: the same successor, and no event."""
    account = served.account()
    first = served.client.login(account["username"], PASSWORD)
    old = {"refresh_token": first["refresh_token"]}
    second = served.client.post("/v1/auth/renew", old).body
    head = served.head()

    again = served.client.post("/v1/auth/renew", old)

    assert again.status == 200
    assert again.body["refresh_token"] == second["refresh_token"]
    said = [
        served.client.post("/v1/token/validate", {"token": one["access_token"]}).body
        for one in (second, again.body)
    ]
    assert said[0]["valid"]
    assert said[0] == said[1]
    assert served.head() == head

    newest = {"refresh_token": second["refresh_token"]}
    assert served.client.post("/v1/auth/renew", newest).status == 200
    assert served.client.post("/v1/auth/renew", old).status == 401, "two steps behind is a reuse"
    assert served.client.post("/v1/auth/renew", newest).status == 401


@pytest.mark.parametrize("token", ["", "x", "gbr_", "gbr_" + "A" * 70, "gbr_" + "é" * 70])
def test_renew_refuses(served: Served, token: str) -> None:
    """What was not issued here renews nothing and appends nothing."""
    admin = served.admin
    before = served.head()

    assert admin.post("/v1/auth/renew", {"refresh_token": token}).status == 401
    assert served.head() == before


def test_logout(served: Served) -> None:
    """Signing out ends this session and leaves the others; all=true ends every one."""
    account = served.account()
    one, two, three = (
        served.client.with_token(served.token(account["username"])) for _ in range(3)
    )

    assert one.post("/v1/auth/logout").status == 204
    assert (one.get("/v1/auth/me").status, two.get("/v1/auth/me").status) == (401, 200)
    assert two.post("/v1/auth/logout?all=true", {}).status == 204
    assert three.get("/v1/auth/me").status == 401


def test_me(served: Served) -> None:
    """One's own page shows the live roles and permissions, the methods and the sessions."""
    account, person = served.signed_in("viewer")
    me = person.get("/v1/auth/me").body

    assert me["account"]["id"] == account["id"]
    assert me["roles"] == ["viewer"]
    assert me["permissions"] == ["accounts.read", "roles.read"]
    assert me["amr"] == ["pwd"]
    assert [one["current"] for one in me["sessions"]] == [True]


def test_change_password(served: Served) -> None:
    """Changing one's own password keeps this session and ends the others."""
    account, person = served.signed_in()
    other = served.client.with_token(served.token(account["username"]))
    new = "forty green kettles whistle low"

    wrong = person.put(
        "/v1/auth/password", {"current_password": "nope nope nope", "new_password": new}
    )
    right = person.put("/v1/auth/password", {"current_password": PASSWORD, "new_password": new})

    assert (wrong.status, right.status) == (401, 204)
    assert (person.get("/v1/auth/me").status, other.get("/v1/auth/me").status) == (200, 401)
    assert refused(served, account["username"], PASSWORD).status == 401
    assert served.client.login(account["username"], new)


def test_sessions(served: Served) -> None:
    """One sees and ends one's own sessions; an operator those of others; nobody else's."""
    account, person = served.signed_in()
    served.token(account["username"])
    _, stranger = served.signed_in()
    listed = person.get("/v1/auth/sessions").body["items"]
    other = next(one["id"] for one in listed if not one["current"])

    assert len(listed) == 2
    assert stranger.delete(f"/v1/auth/sessions/{other}").status == 404
    assert stranger.get(f"/v1/accounts/{account['id']}/sessions").status == 403
    assert person.delete(f"/v1/auth/sessions/{other}").status == 204
    assert len(person.get("/v1/auth/sessions").body["items"]) == 1
    mine = served.admin.get(f"/v1/accounts/{account['id']}/sessions").body["items"]
    path = f"/v1/accounts/{account['id']}/sessions/{mine[0]['id']}"
    assert served.admin.delete(path).status == 204
    assert person.get("/v1/auth/me").status == 401


def test_check(served: Served) -> None:
    """For a proxy: 204 with who it is, 401 or 403."""
    account, person = served.signed_in("viewer")
    good = person.get("/v1/auth/check?permission=accounts.read&role=viewer")

    assert (good.status, good.raw) == (204, b"")
    assert good.headers["Gatebook-Account"] == account["id"]
    assert good.headers["Gatebook-Username"] == account["username"]
    assert good.headers["Gatebook-Roles"] == "viewer"
    assert person.get("/v1/auth/check?permission=audit.read").status == 403
    assert person.get("/v1/auth/check?role=admin").status == 403
    assert served.client.get("/v1/auth/check").status == 401


def test_check_encodes_the_name(served: Served) -> None:
    """A name beyond ASCII goes into a header percent-encoded."""
    username = f"grün-{uuid.uuid4().hex[:8]}"
    body = {"username": username, "type": "human", "password": PASSWORD}
    served.admin.post("/v1/accounts", body)
    person = served.client.with_token(served.token(username))

    named = person.get("/v1/auth/check").headers["Gatebook-Username"]

    assert named == username.replace("ü", "%C3%BC")


def test_no_secret_is_echoed(served: Served) -> None:
    """A malformed body with a secret in it comes back without the secret."""
    secret = "plum-secret-0451"
    for body in (
        {"username": "a", "password": [secret]},
        {"username": "a", "password": "b", secret[:4]: 1},
        {"username": secret, "password": 1},
    ):
        answer = served.client.post("/v1/auth/login", raw=json.dumps(body).encode())
        assert answer.status == 400
        assert secret.encode() not in answer.raw
