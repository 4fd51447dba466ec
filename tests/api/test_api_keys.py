"""API keys over HTTP: made, used, narrowed, rotated, ended; and what must never be possible."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import PASSWORD, Client, Deployment, Served


def keys_path(account: Any) -> str:
    return f"/v1/accounts/{account['id']}/api-keys"


def minted(served: Served, account: Any, **body: Any) -> Any:
    answer = served.admin.post(keys_path(account), body)
    assert answer.status == 201, answer.raw
    return answer.body


def with_key(served: Served, key: Any) -> Client:
    return served.client.with_token(key["key"])


def in_a(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_key_speaks_for_its_account(served: Served) -> None:
    """The key is shown once, has its form, and is what its account is, everywhere a token is."""
    account = served.account("viewer", kind="system")
    made = served.admin.post(keys_path(account), {"name": "ci"})
    key = made.body

    assert made.headers["Location"] == f"{keys_path(account)}/{key['id']}"
    assert made.headers["Cache-Control"] == "no-store"
    assert key["key"].startswith(f"gbk_{uuid.UUID(key['id']).hex}_")
    assert len(key["key"]) == 4 + 32 + 1 + 43
    me = with_key(served, key).get("/v1/auth/me").body
    assert (me["account"]["id"], me["roles"], me["amr"]) == (account["id"], ["viewer"], [])
    assert with_key(served, key).get("/v1/accounts?limit=1").status == 200
    assert with_key(served, key).get("/v1/audit").status == 403
    check = with_key(served, key).get("/v1/auth/check")
    assert (check.status, check.headers["Gatebook-Account"]) == (204, account["id"])


def test_a_key_is_a_valid_token(served: Served) -> None:
    """/v1/token/validate says whose it is, in the words of a token."""
    account = served.account("viewer", kind="system")
    key = minted(served, account, scope="accounts.read", expires_at=in_a(hours=1))
    said = served.client.post("/v1/token/validate", {"token": key["key"]}).body

    assert said["valid"] is True
    assert said["account"]["id"] == account["id"]
    claims = said["claims"]
    assert (claims["sub"], claims["client_id"], claims["jti"], claims["scope"]) == (
        account["id"],
        account["id"],
        key["id"],
        "accounts.read",
    )
    assert 3500 < claims["exp"] - time.time() < 3601
    broken = key["key"][:-1] + ("A" if key["key"][-1] != "A" else "B")
    assert served.client.post("/v1/token/validate", {"token": broken}).body == {"valid": False}


def test_every_other_spelling_is_refused(served: Served) -> None:
    """A key with any character changed, cut or added is nothing."""
    account = served.account("viewer", kind="system")
    other = minted(served, account)["key"]
    key = minted(served, account)["key"]
    spellings = [
        key[:-1],
        key + "A",
        key + "=",
        key.upper(),
        key.replace("gbk_", "GBK_"),
        key.replace("gbk_", "gbr_"),
        key[:37] + other[37:],
        "gbk_" + "0" * 32 + key[36:],
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key[:40] + ("A" if key[40] != "A" else "B") + key[41:],
    ]
    for spelling in spellings:
        answer = served.client.with_token(spelling).get("/v1/auth/me")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), spelling


def test_a_scope_narrows_and_never_widens(served: Served) -> None:
    """A key does what its scope and its account both may; its own account's routes included."""
    account = served.account("operator", kind="system")
    narrow = with_key(served, minted(served, account, scope="accounts.read audit.read"))

    assert narrow.get("/v1/auth/me").body["permissions"] == ["accounts.read"]
    assert narrow.get("/v1/accounts?limit=1").status == 200
    assert narrow.get("/v1/audit").status == 403
    assert narrow.get(keys_path(account)).status == 403
    assert narrow.post(keys_path(account), {}).status == 403
    refused = served.admin.post(keys_path(account), {"scope": "accounts.read everything"})
    assert (refused.status, refused.body["errors"][0]["pointer"]) == (400, "/scope")


def test_nobody_mints_a_key_that_can_do_more_than_he(served: Served) -> None:
    """Neither for somebody who may do more, nor for himself from a narrowed key or token."""
    boss, operator = served.account("admin"), served.account("operator")
    person = served.client.with_token(served.token(operator["username"]))
    assert person.post(keys_path(boss), {}).status == 403
    assert person.post(keys_path(boss), {"scope": "accounts.read"}).status == 403

    writer = minted(served, operator, scope="credentials.write")
    narrow = with_key(served, writer)
    for body in ({}, {"scope": "accounts.write"}, {"scope": "accounts.read credentials.write"}):
        assert narrow.post(keys_path(operator), body).status == 403, body
    assert narrow.post(keys_path(operator), {"scope": "credentials.write"}).status == 201
    broad = minted(served, operator)
    assert narrow.post(f"{keys_path(operator)}/{broad['id']}/rotate", {}).status == 403
    assert narrow.post(f"{keys_path(operator)}/{writer['id']}/rotate", {}).status == 201


def test_a_narrowed_token_mints_no_key(served: Served) -> None:
    """The scope of a token binds what it mints as the scope of a key does."""
    machine = served.account("operator", kind="system")
    order = {"account_id": machine["id"], "scope": "credentials.write"}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]
    assert served.client.with_token(token).post(keys_path(machine), {}).status == 403


def test_a_narrow_key_does_not_sign_its_owner_out(served: Served) -> None:
    """Nor change his password, nor give him another factor; it may see what it is."""
    account, person = served.signed_in("operator")
    narrow = with_key(served, minted(served, account, scope="accounts.read"))
    assert narrow.post("/v1/auth/logout?all=true").status == 403
    assert narrow.post("/v1/auth/totp").status == 403
    body = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    assert narrow.put("/v1/auth/password", body).status == 403
    for path in ("/v1/auth/me", "/v1/permissions"):
        assert narrow.get(path).status == 200
    assert person.get("/v1/auth/me").status == 200


def test_roles_that_need_two_factors(tmp_path: Path) -> None:
    """They give nothing to a person's key, and all they hold to a machine's."""
    more = '[sessions]\nmfa_required_for = ["viewer"]\n'
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1", more=more)
    deployment.create()
    with deployment.served() as served:
        for kind, status in (("human", 403), ("system", 200)):
            account = served.account("viewer", kind=kind)
            key = with_key(served, minted(served, account))
            assert key.get("/v1/accounts").status == status


def test_an_end(served: Served) -> None:
    """A key ends at its instant; one that has ended is not made."""
    account = served.account(kind="system")
    key = minted(served, account, expires_at=in_a(seconds=1.2))
    assert with_key(served, key).get("/v1/auth/me").status == 200
    time.sleep(1.3)
    assert with_key(served, key).get("/v1/auth/me").status == 401
    assert served.admin.get(keys_path(account)).body["items"] == []
    assert served.admin.post(keys_path(account), {"expires_at": in_a(hours=-1)}).status == 400


def test_rotation_with_overlap(served: Served) -> None:
    """Both keys count during the overlap, then the new one alone; a key is followed once."""
    account = served.account("viewer", kind="system")
    old = minted(served, account, name="deploy", scope="accounts.read")
    path = f"{keys_path(account)}/{old['id']}/rotate"
    answer = served.admin.post(path, {"overlap": 1})
    new = answer.body
    assert (answer.status, new["name"], new["scope"], new["replaces"]) == (
        201,
        "deploy",
        "accounts.read",
        old["id"],
    )
    assert [with_key(served, key).get("/v1/auth/me").status for key in (old, new)] == [200, 200]
    assert served.admin.post(path, {}).status == 409
    time.sleep(1.1)
    assert [with_key(served, key).get("/v1/auth/me").status for key in (old, new)] == [401, 200]

    newest = served.admin.post(f"{keys_path(account)}/{new['id']}/rotate").body
    assert [with_key(served, key).get("/v1/auth/me").status for key in (new, newest)] == [401, 200]
    assert served.admin.post(path, {"overlap": 604_801}).status == 400


def test_revoked(served: Served) -> None:
    """A revoked key is refused from the answer on; again is no error; another's is not there."""
    account, other = served.account(kind="system"), served.account(kind="system")
    key = minted(served, account)
    path = f"{keys_path(account)}/{key['id']}"
    assert served.admin.delete(f"{keys_path(other)}/{key['id']}").status == 404
    assert served.admin.delete(path).status == 204
    assert with_key(served, key).get("/v1/auth/me").status == 401
    head = served.head()
    assert served.admin.delete(path).status == 204
    assert served.head() == head
    assert served.admin.get(path).status == 404


def test_a_key_follows_its_account(served: Served) -> None:
    """Off with its account and on again; the end of all sessions leaves it alone."""
    account = served.account("viewer", kind="system")
    client = with_key(served, minted(served, account))
    path = f"/v1/accounts/{account['id']}"
    assert served.admin.delete(f"{path}/tokens").status == 204
    assert client.get("/v1/auth/me").status == 200
    for off, on in (
        (
            lambda: served.admin.patch(path, {"status": "inactive"}),
            lambda: served.admin.patch(path, {"status": "active"}),
        ),
        (lambda: served.admin.delete(path), lambda: served.admin.post(f"{path}/restore")),
    ):
        assert off().status in (200, 204)
        assert client.get("/v1/auth/me").status == 401
        assert served.admin.post(keys_path(account), {}).status == 409
        assert on().status == 200
        assert client.get("/v1/auth/me").status == 200
    assert served.admin.delete(f"{path}/roles/viewer").status == 204
    assert client.get("/v1/accounts").status == 403
    confirm = {"confirm": account["username"]}
    assert served.admin.post(f"{path}/erase", confirm).status in (200, 204)
    assert client.get("/v1/auth/me").status == 401
    assert served.admin.get(keys_path(account)).body["items"] == []


def test_the_list(served: Served) -> None:
    """It says when a key was last used, and never a secret; one's own list is open to oneself."""
    account, person = served.signed_in()
    first, second = minted(served, account, name="one"), minted(served, account, name="two")
    assert with_key(served, second).get("/v1/auth/me").status == 200
    listed = person.get(keys_path(account))
    assert [(one["name"], one["last_used_at"] is None) for one in listed.body["items"]] == [
        ("one", True),
        ("two", False),
    ]
    for key in (first, second):
        assert key["key"].rpartition("_")[2].encode() not in listed.raw
    stranger = served.signed_in()[1]
    assert stranger.get(keys_path(account)).status == 403
    assert person.delete(f"{keys_path(account)}/{first['id']}").status == 204


def test_use_appends_nothing_and_the_log_holds_no_key(served: Served) -> None:
    """Using a key is no event, and neither its secret nor its hash is shown to an auditor."""
    account = served.account("viewer", kind="system")
    key = minted(served, account, name="quiet")
    before = served.head()
    for _ in range(3):
        assert with_key(served, key).get("/v1/accounts?limit=1").status == 200
    assert served.head() == before
    raw = served.admin.get(f"/v1/audit?account={account['id']}").raw
    assert b"api_key.created" in raw
    assert b"secret" not in raw
    assert key["key"].rpartition("_")[2].encode() not in raw


def test_the_same_request_makes_one_key(served: Served) -> None:
    """An Idempotency-Key gives the same key again, though it is stored nowhere in the clear."""
    account = served.account(kind="system")
    headers = {"Idempotency-Key": "once"}
    first = served.admin.post(keys_path(account), {"name": "a"}, headers=headers)
    again = served.admin.post(keys_path(account), {"name": "a"}, headers=headers)
    assert first.status == again.status == 201
    assert first.body == again.body
    assert served.admin.post(keys_path(account), {"name": "b"}, headers=headers).status == 422


def test_at_most_a_hundred(served: Served) -> None:
    """The hundred and first key is refused until one of them has ended."""
    account = served.account(kind="system")
    keys = [minted(served, account)["id"] for _ in range(100)]
    assert served.admin.post(keys_path(account), {}).status == 409
    assert served.admin.delete(f"{keys_path(account)}/{keys[0]}").status == 204
    assert served.admin.post(keys_path(account), {}).status == 201


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"scope": "accounts.read  audit.read"},
        {"scope": " accounts.read"},
        {"expires_at": "tomorrow"},
        {"name": None},
        {"key": "mine"},
    ],
    ids=str,
)
def test_malformed(served: Served, body: dict[str, Any]) -> None:
    """What cannot be is 400, and makes no key."""
    account = served.account(kind="system")
    assert served.admin.post(keys_path(account), body).status == 400
    assert served.admin.get(keys_path(account)).body["items"] == []
