"""Class 7, from a narrowed key or token to all that its own account may do.

OpenBao CVE-2025-64761 and Zitadel CVE-2026-32868 in spirit: what delegates a part gives no more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.factors import enrol
from tests.api.oauth2 import ASSERTION_TYPE, Key, Machine, issuer, post
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Client, Deployment, Served

NEW = "taken over by mallory 77"


def key_of(served: Served, account: Any, **body: Any) -> Client:
    """A client that speaks with an API key of an account."""
    made = served.admin.post(f"/v1/accounts/{account['id']}/api-keys", body)
    assert made.status == 201, made.raw
    return served.client.with_token(made.body["key"])


def test_a_narrowed_key_gives_its_machine_no_other_secret(served: Served) -> None:
    """Neither a client's public key, nor a token without the scope."""
    machine = Machine(served, "admin", scope="credentials.read credentials.write tokens.issue")
    mallory, key = served.client.with_token(machine.secret), Key()
    path = f"/v1/accounts/{machine.id}"

    body = {"jwks": {"keys": [key.jwk]}, "auth_methods": ["private_key_jwt"]}
    assert mallory.put(f"{path}/client", body).status == 403
    assert mallory.delete(f"{path}/client").status == 403
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": key.assertion(machine.id, issuer(served)),
    }
    assert post(served.client, "/oauth2/token", form).status == 401
    order = {"account_id": machine.id}
    assert mallory.post("/v1/token/issue", order).status == 403
    assert mallory.post("/v1/token/issue", order | {"scope": "accounts.erase"}).status == 403
    assert mallory.get(f"{path}/client").status == 200


def test_a_narrowed_token_is_bound_alike(served: Served) -> None:
    """What an issued token may not, it does not give itself either."""
    machine = Machine(served, "admin")
    order = {"account_id": machine.id, "scope": "tokens.issue"}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]
    mallory = served.client.with_token(token)

    assert mallory.post("/v1/token/issue", {"account_id": machine.id}).status == 403


def test_a_narrowed_key_does_not_become_its_owner(served: Served) -> None:
    """Neither by a password, nor by a break-glass one, nor by what it takes away."""
    account = served.account("admin")
    path = f"/v1/accounts/{account['id']}"
    mallory = key_of(
        served,
        account,
        scope="accounts.write auth.breakglass.admin credentials.read credentials.write",
    )

    assert mallory.put(f"{path}/password", {"password": NEW}).status == 403
    emergency = {"account_id": account["id"], "password": NEW}
    assert mallory.post("/v1/auth/breakglass/credentials", emergency).status == 403
    assert mallory.patch(path, {"email": "mallory@example.org"}).status == 403
    [password] = [
        one for one in mallory.get(f"{path}/credentials").body["items"] if one["kind"] == "password"
    ]
    assert mallory.delete(f"{path}/credentials/{password['id']}").status == 403
    assert served.client.post("/auth/breakglass/login", emergency).status == 401
    assert served.token(account["username"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/auth/logout", {}),
        ("POST", "/v1/auth/logout?all=true", {}),
        ("PUT", "/v1/auth/password", {"current_password": PASSWORD, "new_password": NEW}),
        ("DELETE", "/v1/auth/sessions", None),
        ("DELETE", "/v1/auth/sessions/{session}", None),
        ("POST", "/v1/auth/totp", {}),
        ("POST", "/v1/auth/totp/confirm", {"code": "000000"}),
        ("DELETE", "/v1/auth/totp", {"password": PASSWORD}),
        ("POST", "/v1/auth/recovery-codes", {}),
    ],
)
def test_a_key_is_nobody_who_signed_in(served: Served, method: str, path: str, body: Any) -> None:
    """A key without a scope still changes no factor, no password and no session of its owner."""
    account, owner = served.signed_in("viewer")
    mallory = key_of(served, account)
    [session] = owner.get("/v1/auth/sessions").body["items"]

    assert mallory.call(method, path.format(session=session["id"]), body).status == 403
    assert owner.get("/v1/auth/me").status == 200
    assert mallory.get("/v1/auth/me").status == 200


def test_a_key_is_not_given_what_its_owner_was_shown(served: Served) -> None:
    """An Idempotency-Key that leaked gets no API key, no secret and no codes out again."""
    account, owner = served.signed_in("operator")
    same = {"headers": {"Idempotency-Key": "shown-once"}}
    offer = owner.post("/v1/auth/totp", {}, **same)
    enrol(owner)
    codes = owner.post("/v1/auth/recovery-codes", {}, **same)
    path = f"/v1/accounts/{account['id']}/api-keys"
    made = owner.post(path, {}, **same)
    assert (offer.status, codes.status, made.status) == (200, 201, 201)
    narrow = {"scope": "accounts.read credentials.write"}

    for mallory in (key_of(served, account), key_of(served, account, **narrow)):
        for asked in ("/v1/auth/totp", "/v1/auth/recovery-codes"):
            answer = mallory.post(asked, {}, **same)
            assert answer.status == 403, answer.raw
        answer = mallory.post(path, {}, **same)
        assert made.body["key"] not in answer.raw.decode()
    assert owner.post(path, {}, **same).body["key"] == made.body["key"]


def test_roles_that_are_held_back_are_out_of_their_holders_reach(tmp_path: Path) -> None:
    """Signed in by one factor, nobody clears the way to what needs two."""
    more = '[sessions]\nmfa_required_for = ["admin"]\n'
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1", more=more)
    own.create()
    with own.served() as served:
        app = enrol(served.client.with_token(served.token(ADMIN, ADMIN_PASSWORD)))
        body = {"username": ADMIN, "password": ADMIN_PASSWORD, "totp_code": app.code()}
        answer = served.client.post("/v1/auth/login", body)
        assert answer.status == 200, answer.raw
        admin = served.client.with_token(answer.body["access_token"])
        body = {"username": "both-hats", "type": "human", "password": PASSWORD}
        path = f"/v1/accounts/{admin.post('/v1/accounts', body).body['id']}"
        for role in ("operator", "admin"):
            assert admin.put(f"{path}/roles/{role}").status == 204

        mallory = served.client.with_token(served.token("both-hats"))
        assert mallory.get("/v1/auth/me").body["roles"] == ["operator"]
        [password] = mallory.get(f"{path}/credentials").body["items"]
        assert mallory.put(f"{path}/password", {"password": NEW}).status == 403
        assert mallory.delete(f"{path}/credentials/{password['id']}").status == 403
        assert mallory.post(f"{path}/api-keys", {}).status == 403
        assert served.token("both-hats")
        for session in mallory.get("/v1/auth/sessions").body["items"]:
            assert mallory.delete(f"{path}/sessions/{session['id']}").status in (204, 401)
