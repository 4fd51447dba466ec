"""Class 8, a step is skipped.

Zitadel CVE-2024-28197, -32868, CVE-2025-64103; Keycloak CVE-2025-3910, CVE-2026-94218; Kratos
CVE-2024-45042; Casdoor CVE-2026-9091; authentik CVE-2026-49443, -54730; Pocket ID.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.served import BOOTSTRAP_TOKEN, PASSWORD, Deployment, Served


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"username": "first-admin"},
        {"password": PASSWORD},
        {"username": "first-admin", "password": ""},
        {"username": "first-admin", "password": None},
        {"username": "first-admin", "password": []},
        {"username": "first-admin", "password": {"$ne": ""}},
        {"username": "", "password": PASSWORD},
        {"username": ["first-admin"], "password": PASSWORD},
        {"username": "first-admin", "password": True},
        {"username": "first-admin", "password": PASSWORD, "amr": ["mfa"]},
    ],
    ids=str,
)
def test_nothing_is_no_proof(served: Served, body: Any) -> None:
    """A sign-in without a proof opens no session."""
    before = len(served.events("&type=session.opened"))

    assert served.client.post("/v1/auth/login", body).status in (400, 401, 415)

    assert len(served.events("&type=session.opened")) == before


def test_an_account_without_a_password(served: Served) -> None:
    """No password is not an empty password."""
    account = served.account(password=None)
    for guess in ("", " ", "\u200b", "null", "None", "*"):
        body = {"username": account["username"], "password": guess}
        assert served.client.post("/v1/auth/login", body).status == 401


def test_methods_are_those_that_were_used(served: Served) -> None:
    """`amr` and `auth_time` are the sign-in's, through renewals and changes of password."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    client = served.client.with_token(pair["access_token"])
    first = client.post("/v1/token/validate", {"token": pair["access_token"]}).body["claims"]
    renewed = client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]}).body
    body = {"token": renewed["access_token"]}
    second = client.post("/v1/token/validate", body).body["claims"]

    assert first["amr"] == second["amr"] == ["pwd"]
    assert first["auth_time"] == second["auth_time"]
    opened = served.events(f"&account={account['id']}&type=session.opened")
    assert [event["data"]["amr"] for event in opened] == [["pwd"]]


def test_a_new_password_needs_the_old_one(served: Served) -> None:
    """A stolen token alone does not change the password."""
    account, client = served.signed_in()
    for current in ("", "wrong password here", None):
        body = {"current_password": current, "new_password": "a thief's own password 1"}
        assert client.put("/v1/auth/password", body).status in (400, 401)
    assert served.token(account["username"])


def test_the_seat_needs_its_token(tmp_path: Path) -> None:
    """Neither nothing, nor a part, nor another spelling of the bootstrap token is enough."""
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    own.create(admin=False)
    with own.served() as server:
        body = {"username": "usurper", "password": PASSWORD}
        guesses = ["", " ", "\n", BOOTSTRAP_TOKEN[:-1], BOOTSTRAP_TOKEN + " ", "null", "é" * 22]
        for guess in [*guesses, BOOTSTRAP_TOKEN.upper(), BOOTSTRAP_TOKEN + "\n"]:
            answer = server.client.post("/v1/bootstrap", {**body, "token": guess})
            assert answer.status == 401, guess
        assert server.client.post("/v1/bootstrap", body).status == 400
        assert server.client.get("/v1/bootstrap").body == {"available": True}
        weak = {**body, "token": BOOTSTRAP_TOKEN, "password": "password1234"}
        assert server.client.post("/v1/bootstrap", weak).status == 400
        assert server.client.get("/v1/bootstrap").body == {"available": True}
        right = {**body, "token": BOOTSTRAP_TOKEN}
        assert server.client.post("/v1/bootstrap", right).status == 201
        again = {**right, "username": "second"}
        assert server.client.post("/v1/bootstrap", again).status == 410
