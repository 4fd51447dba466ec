"""The second step of a sign-in: counted apart, finished once, worth nothing elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gatebook.api.routes import ROUTES
from gatebook.domain.application.core import By, Loaded, local
from gatebook.domain.application.fresh import FRESH
from gatebook.domain.application.logins import Attempt
from gatebook.domain.envelope import ANONYMOUS, account_actor
from gatebook.domain.errors import MfaRequired, StaleSignIn
from gatebook.domain.factors import Factors, become
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.factors import begin, challenged, claims, enrol, finish, with_totp
from tests.api.oauth2 import Key, url_of
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Answer, Deployment, Served
from tests.api.test_routes import GUARDED, call
from tests.attacks.tools import at_once


def said(answer: Answer) -> tuple[object, ...]:
    """An answer without what is its own: status, names of headers, body without the id."""
    body = json.loads(answer.raw)
    body.pop("request_id")
    return answer.status, sorted(name for name in answer.headers), body


def test_the_refusal_says_what_can_be_used(served: Served) -> None:
    """A 401 with a token and the methods that the account really has."""
    account, client, _ = with_totp(served)
    first = begin(served.client, account["username"])
    client.post("/v1/auth/recovery-codes")
    second = begin(served.client, account["username"])

    assert (first.status, first.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert first.body["methods"] == ["totp"]
    assert second.body["methods"] == ["totp", "recovery_code"]
    assert first.headers["Cache-Control"] == "no-store"
    assert set(first.body) == {
        "type", "title", "status", "detail", "request_id", "mfa_token", "methods",
    }  # fmt: skip


def test_a_wrong_code_is_told_as_a_wrong_password(served: Served) -> None:
    """In one request or two: the same bytes; each guess counts against its own method."""
    account, _, app = with_totp(served)
    name = account["username"]
    answers = [
        served.client.post("/v1/auth/login", {"username": name, "password": "wrong"}),
        begin(served.client, name, totp_code=app.wrong()),
        begin(served.client, name, recovery_code="AAAAA-AAAAA"),
        finish(served.client, challenged(served.client, name), totp_code=app.wrong()),
        finish(served.client, "gbm_" + "A" * 64, totp_code=app.wrong()),
        finish(served.client, "", totp_code=app.wrong()),
    ]
    assert len({json.dumps(said(answer)) for answer in answers}) == 1
    events = served.events(f"&account={account['id']}&type=login.failed")
    assert [(event["data"]["method"], event["data"]["cause"]) for event in events] == [
        ("password", "wrong-password"),
        ("totp", "wrong-code"),
        ("recovery-code", "no-credential"),
        ("totp", "wrong-code"),
    ]


def test_password_and_code_in_one_request(served: Served) -> None:
    """Both right: signed in with two factors. A wrong password is counted, its code unread."""
    account, _, app = with_totp(served)
    name = account["username"]
    wrong = {"username": name, "password": "wrong", "totp_code": app.wrong()}
    assert served.client.post("/v1/auth/login", wrong).status == 401
    answer = begin(served.client, name, totp_code=app.code())

    assert claims(served.client, answer.body["access_token"])["amr"] == ["pwd", "otp", "mfa"]
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [event["data"]["method"] for event in failed] == ["password"]
    both = begin(served.client, name, totp_code="123456", recovery_code="AAAAA-AAAAA")
    assert both.status == 400


def test_a_code_where_none_is_due_is_ignored(served: Served) -> None:
    """An account without a second factor signs in by its password alone."""
    account = served.account()
    answer = begin(served.client, account["username"], totp_code="123456")
    assert claims(served.client, answer.body["access_token"])["amr"] == ["pwd"]


def test_the_token_is_worth_nothing_elsewhere(served: Served) -> None:
    """Every guarded endpoint answers it as it answers garbage."""
    account, _, _ = with_totp(served)
    token = challenged(served.client, account["username"])
    for route in GUARDED:
        garbage = call(served.client, route, {"Authorization": "Bearer garbage"})
        answer = call(served.client, route, {"Authorization": f"Bearer {token}"})
        assert said(answer) == said(garbage), route.path
    validated = served.client.post("/v1/token/validate", {"token": token})
    assert validated.body == {"valid": False}
    renewed = served.client.post("/v1/auth/renew", {"refresh_token": token})
    assert renewed.status == 401
    paths = {route.path for route in ROUTES if route.need.kind == "public"}
    assert "/v1/auth/mfa" in paths


def test_altered_tokens(served: Served) -> None:
    """Not a character of the token may differ."""
    account, _, app = with_totp(served)
    token = challenged(served.client, account["username"])
    for place in (4, 20, 40, 67):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert finish(served.client, other, totp_code=app.wrong()).status == 401
    assert served.events(f"&account={account['id']}&type=login.failed") == []
    assert finish(served.client, token, totp_code=app.code()).status == 200


@pytest.mark.parametrize("kind", ["same-token", "many-tokens"])
def test_one_code_signs_in_once(served: Served, kind: str) -> None:
    """Of 64 racing uses of one recovery code on two processes exactly one wins."""
    account, client, _ = with_totp(served)
    code = client.post("/v1/auth/recovery-codes").body["codes"][0]
    count = 64 if kind == "same-token" else 8
    tokens = [challenged(served.client, account["username"]) for _ in range(count // 8)] * 8
    if kind == "same-token":
        tokens = tokens[:1] * 64

    answers = at_once(len(tokens), lambda n: finish(served.client, tokens[n], recovery_code=code))

    assert [a.status for a in answers].count(200) == 1
    assert {a.status for a in answers} <= {200, 401, 503}
    opened = served.events(f"&account={account['id']}&type=session.opened")
    assert [event["data"]["acr"] for event in opened].count("aal2") == 1
    used = served.events(f"&account={account['id']}&type=recovery_code.used")
    assert len(used) == 1


def test_one_totp_code_signs_in_once(served: Served) -> None:
    """Of 32 racing sign-ins with one code exactly one wins, and no more than five are wrong."""
    account, _, app = with_totp(served)
    tokens = [challenged(served.client, account["username"]) for _ in range(32)]
    code = app.code()

    answers = at_once(32, lambda n: finish(served.client, tokens[n], totp_code=code))

    assert [a.status for a in answers].count(200) == 1
    assert len(served.events(f"&account={account['id']}&type=totp.used")) == 2
    assert len(served.events(f"&account={account['id']}&type=login.failed")) <= 5


def test_what_changes_meanwhile_ends_the_sign_in(served: Served) -> None:
    """A lock, a new password, a revocation, a deactivation after the first step all hold."""
    wrong = "some wrong password"
    for change in ("lock", "password", "revoke", "inactive"):
        account, client, app = with_totp(served)
        name, path = account["username"], f"/v1/accounts/{account['id']}"
        token = challenged(served.client, name)
        if change == "lock":
            for _ in range(5):
                body = {"username": name, "password": wrong}
                assert served.client.post("/v1/auth/login", body).status == 401
        elif change == "password":
            body = {"current_password": PASSWORD, "new_password": "nine quiet boats at noon"}
            assert client.put("/v1/auth/password", body).status == 204
        elif change == "revoke":
            assert served.admin.delete(f"{path}/tokens").status == 204
        else:
            assert served.admin.patch(path, {"status": "inactive"}).status == 200
        assert finish(served.client, token, totp_code=app.code()).status == 401, change
        opened = served.events(f"&account={account['id']}&type=session.opened")
        assert "aal2" not in [event["data"]["acr"] for event in opened]


def test_cookies_and_the_device(served: Served) -> None:
    """The second step hands over a browser's session, and a known device has its own counter."""
    account, client, app = with_totp(served)
    codes = client.post("/v1/auth/recovery-codes").body["codes"]
    body = {
        "mfa_token": challenged(served.client, account["username"]),
        "totp_code": app.code(),
    }
    answer = served.client.post("/v1/auth/mfa?session=cookie", body)
    set_cookies = answer.headers.get_all("Set-Cookie") or []
    names = [one.partition("=")[0] for one in set_cookies]
    assert names == ["gatebook_session", "gatebook_csrf", "gatebook_device"]
    assert "access_token" not in answer.body
    device = {"Cookie": set_cookies[2].partition(";")[0]}

    token = challenged(served.client, account["username"])
    for _ in range(5):
        assert finish(served.client, token, recovery_code="AAAAA-AAAAA").status == 401
    body = {"mfa_token": token, "recovery_code": codes[0]}
    assert served.client.post("/v1/auth/mfa", body).status == 401
    assert served.client.post("/v1/auth/mfa", body, headers=device).status == 200


def test_a_bound_session(served: Served) -> None:
    """With a DPoP proof at the second step its tokens are bound to the proof's key."""
    account, _, app = with_totp(served)
    token, key = challenged(served.client, account["username"]), Key()
    proof = key.proof("POST", url_of(served.client, "/v1/auth/mfa"))
    body = {"mfa_token": token, "totp_code": app.code()}
    pair = served.client.post("/v1/auth/mfa", body, headers={"DPoP": proof})

    assert (pair.status, pair.body["token_type"]) == (200, "DPoP")
    said = claims(served.client, pair.body["access_token"])
    assert said["cnf"] == {"jkt": key.thumbprint}
    assert served.client.with_token(pair.body["access_token"]).get("/v1/auth/me").status == 401


@pytest.fixture
def house(deployment: Deployment) -> Iterator[House]:
    deployment.create(admin=True)
    opened = open_house(Settings.load(deployment.config, {}))
    yield opened
    opened.close()


def test_an_old_sign_in_changes_no_factor(house: House) -> None:
    """Fifteen minutes after its sign-in a session adds no factor, and a key never does."""
    [admin] = house.store.query("SELECT account_id FROM access_accounts")
    account_id, session_id = UUID(bytes=bytes(admin[0])), house.ids.ordered()  # type: ignore[arg-type]  # a column of 16 bytes
    now = house.clock.now()
    for auth_time, session in (
        (now - FRESH - 1, session_id),
        (None, session_id),
        (now + 120_000_000, session_id),
        (now, None),
    ):
        by = By(
            actor=account_actor(account_id),
            account_id=account_id,
            session_id=session,
            auth_time=auth_time,
        )
        for command in (
            house.enrolments.offer_totp,
            house.enrolments.generate_recovery_codes,
            lambda by: house.enrolments.confirm_totp(by, "123456"),
        ):
            with pytest.raises(StaleSignIn):
                command(by)


def test_a_factor_that_is_added_meanwhile(house: House) -> None:
    """A sign-in that had read of no factor loses to the one that adds it, and decides again."""
    read, added = house.second_factors.load, []

    def load(account_id: UUID) -> Loaded[Factors]:
        loaded = read(account_id)
        if not added:
            added.extend(loaded.entries(become(account_id, Factors(totp=True), loaded.state)))
            house.app.record(added, local("tester"), house.clock.now())
        return loaded

    house.second_factors.load = load  # type: ignore[method-assign]  # stands between read and append
    attempt = Attempt(ADMIN, house.plaintext(ADMIN_PASSWORD))
    with pytest.raises(MfaRequired) as due:
        house.logins.login(By(actor=ANONYMOUS), attempt)
    assert due.value.methods == ["totp"]
    assert house.store.query("SELECT session_id FROM access_sessions") == []


def test_roles_that_wait_for_a_second_factor(tmp_path: Path) -> None:
    """An admin with a password alone may do nothing but enrol; with two factors everything."""
    more = '[sessions]\nmfa_required_for = ["admin"]\n'
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1", more=more)
    deployment.create()
    with deployment.served() as server:
        admin = server.client.with_token(server.token(ADMIN, ADMIN_PASSWORD))
        for route in GUARDED:
            if route.need.kind == "permission":
                assert call(admin, route).status == 403, route.path
        me = admin.get("/v1/auth/me").body
        assert (me["roles"], me["held_back"], me["permissions"]) == ([], ["admin"], [])

        app = enrol(admin)
        assert admin.get("/v1/accounts").status == 200, "the code was proved in this session"
        body = {"username": ADMIN, "password": ADMIN_PASSWORD, "totp_code": app.code()}
        pair = server.client.post("/v1/auth/login", body).body
        strong = server.client.with_token(pair["access_token"])

        assert strong.get("/v1/accounts").status == 200
        me = strong.get("/v1/auth/me").body
        assert (me["roles"], me["held_back"], me["acr"]) == (["admin"], [], "aal2")
        assert claims(server.client, pair["access_token"])["roles"] == ["admin"]
        renewed = server.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]})
        again = server.client.with_token(renewed.body["access_token"])
        assert again.get("/v1/accounts").status == 200
