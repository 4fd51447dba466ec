"""Idempotency-Key: the same request again gives the same answer, and appends nothing."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.served import PASSWORD, Answer, Served


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def new() -> dict[str, str]:
    return {"username": f"i-{uuid.uuid4().hex[:12]}", "type": "human"}


def test_again(served: Served) -> None:
    """The first answer is given again, status, headers and body, and the log stands still."""
    admin, headers, body = served.admin, key(), new()
    first = admin.post("/v1/accounts", body, headers=headers)
    before = served.head()
    second = admin.post("/v1/accounts", body, headers=headers)

    assert (first.status, first.raw) == (second.status, second.raw)
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["ETag"] == first.headers["ETag"]
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert served.head() == before


def test_another_body(served: Served) -> None:
    """The same key with another body is a 422."""
    headers = key()
    served.admin.post("/v1/accounts", new(), headers=headers)
    answer = served.admin.post("/v1/accounts", new(), headers=headers)

    assert answer.status == 422
    assert answer.body["type"].endswith("/problems/idempotency-mismatch")


def test_another_caller(served: Served) -> None:
    """A key belongs to its caller."""
    headers = key()
    _, operator = served.signed_in("operator")
    first = served.admin.post("/v1/accounts", new(), headers=headers)
    second = operator.post("/v1/accounts", new(), headers=headers)

    assert (first.status, second.status) == (201, 201)


def test_race(served: Served) -> None:
    """Racing calls with one key do it once and answer alike."""
    admin, headers, body = served.admin, key(), new()

    def create(_number: int) -> Answer:
        return admin.post("/v1/accounts", body, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(16)))

    assert {answer.status for answer in answers} == {201}
    assert len({answer.raw for answer in answers}) == 1


def test_refusals_are_not_remembered(served: Served) -> None:
    """What was refused may be tried again with the same key."""
    headers, body = key(), new()
    body["username"] += " bad"
    refused = served.admin.post("/v1/accounts", body, headers=headers)
    body["username"] = body["username"].replace(" ", "-")
    made = served.admin.post("/v1/accounts", body, headers=headers)

    assert (refused.status, made.status) == (400, 201)


def test_remembered_token_is_the_same(served: Served) -> None:
    """An answer that shows a secret once is remembered too."""
    machine = served.account(kind="system", password=None)
    headers, order = key(), {"account_id": machine["id"]}
    first = served.admin.post("/v1/token/issue", order, headers=headers)
    second = served.admin.post("/v1/token/issue", order, headers=headers)

    assert first.body["access_token"] == second.body["access_token"]


def test_renew_again(served: Served) -> None:
    """A renewal whose answer was lost can be repeated, and does not look like a theft."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    headers, body = key(), {"refresh_token": pair["refresh_token"]}
    first = served.client.post("/v1/auth/renew", body, headers=headers)
    second = served.client.post("/v1/auth/renew", body, headers=headers)

    assert first.raw == second.raw
    person = served.client.with_token(second.body["access_token"])
    assert person.get("/v1/auth/me").status == 200


def test_login_key_is_no_way_around(served: Served) -> None:
    """A key known to a stranger tells him nothing about the password, nor opens a lock."""
    account = served.account()
    headers = key()
    right = {"username": account["username"], "password": PASSWORD}
    wrong = right | {"password": "guess guess guess 1"}
    assert served.client.post("/v1/auth/login", right, headers=headers).status == 200

    guesses = [served.client.post("/v1/auth/login", wrong, headers=headers) for _ in range(6)]

    assert {guess.status for guess in guesses} == {401}
    assert len(served.events(f"&account={account['id']}&type=login.failed")) == 5
    assert served.client.post("/v1/auth/login", right, headers=headers).status == 401


@pytest.mark.parametrize("given", ["", "x" * 256, "a\tb", "schlüssel"])
def test_bad_keys(served: Served, given: str) -> None:
    """A key is 1 to 255 printable ASCII characters."""
    answer = served.admin.post("/v1/accounts", new(), headers={"Idempotency-Key": given})

    assert answer.status == 400


def test_longest_key(served: Served) -> None:
    """255 characters are well."""
    given = "k" * 223 + uuid.uuid4().hex

    assert served.admin.post("/v1/accounts", new(), headers={"Idempotency-Key": given}).status == (
        201
    )


def test_bodiless_commands(served: Served) -> None:
    """Commands without a body remember as well."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}/restore"
    served.admin.delete(f"/v1/accounts/{account['id']}")
    headers = key()
    first = served.admin.post(path, headers=headers)
    second = served.admin.post(path, headers=headers)

    assert (first.status, second.status) == (200, 200)
    assert first.raw == second.raw
