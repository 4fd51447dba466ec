"""Forty to sixty-four clients, released at once, on two workers: what must happen once does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.api.served import (
    ADMIN,
    ADMIN_PASSWORD,
    ELSEWHERE,
    PASSWORD,
    Answer,
    Client,
    Deployment,
    Served,
)
from tests.system.evidence import check_store, house_of
from tests.system.family import children
from tests.system.volley import Shot, fire

MANY = 64
SOME = 40
THRESHOLD = 5
WRONG = "surely not the password 3"


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def events_of(served: Served, account: Any) -> Counter[str]:
    return Counter(one["type"] for one in served.events(f"&account={account['id']}"))


def spellings(name: str, count: int) -> list[str]:
    """The same name in other letters: upper and lower case, and full width."""
    found = []
    for number in range(count):
        letters = [
            letter.upper() if number >> place & 1 else letter
            for place, letter in enumerate(name[:5])
        ]
        if number % 4 == 3:
            letters[0] = chr(ord(letters[0]) + 0xFEE0)
        found.append("".join(letters) + name[5:])
    return found


@pytest.mark.parametrize("turn", range(2))
def test_one_name_in_many_spellings(served: Served, turn: int) -> None:
    """Of 64 registrations of one name exactly one wins; the others are told that it is taken."""
    names = spellings(f"racer-{turn}-{served.head()}", MANY)
    shots = [
        Shot(served.admin, "POST", "/v1/accounts", {"username": name, "type": "human"})
        for name in names
    ]

    answers = fire(shots)

    assert statuses(answers) == {201: 1, 409: MANY - 1}
    assert {a.body["type"].rpartition("/")[2] for a in answers if a.status == 409} == {
        "username-taken"
    }
    (winner,) = [answer.body for answer in answers if answer.status == 201]
    listed = served.admin.get(f"/v1/accounts?limit=500&q={winner['username'][1:]}").body["items"]
    assert [winner["id"]] == [one["id"] for one in listed if one["id"] == winner["id"]]
    assert len(listed) == 1


def test_one_refresh_token(served: Served) -> None:
    """64 uses of one refresh token by one client are one rotation, and the same successor."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    body = {"refresh_token": pair["refresh_token"]}

    answers = fire([Shot(served.client, "POST", "/v1/auth/renew", body) for _ in range(MANY)])

    assert statuses(answers) == {200: MANY}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    found = events_of(served, account)
    assert (found["session.rotated"], found["token.reuse_detected"]) == (1, 0)
    said = [
        served.client.post("/v1/token/validate", {"token": answer.body["access_token"]}).body
        for answer in answers
    ]
    assert said[0]["valid"]
    assert len({one["claims"]["jti"] for one in said}) == 1

    again = served.client.post("/v1/auth/renew", body, headers=ELSEWHERE)
    assert again.status == 401
    token = {"token": answers[0].body["access_token"]}
    assert served.client.post("/v1/token/validate", token).body == {"valid": False}


def test_one_renewal_under_one_key(served: Served) -> None:
    """64 repetitions of a renewal, under one Idempotency-Key, are one rotation, and no reuse."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    for turn in range(1, 7):
        shot = Shot(
            served.client,
            "POST",
            "/v1/auth/renew",
            {"refresh_token": pair["refresh_token"]},
            {"Idempotency-Key": f"renewal-{turn}-{account['id']}"},
        )

        answers = fire([shot] * MANY)

        found = events_of(served, account)
        assert (found["session.rotated"], found["token.reuse_detected"]) == (turn, 0)
        assert statuses(answers) == {200: MANY}
        assert len({answer.raw for answer in answers}) == 1
        pair = answers[0].body
        token = {"token": pair["access_token"]}
        assert served.client.post("/v1/token/validate", token).body["valid"]


@pytest.mark.parametrize("turn", range(2))
def test_one_idempotency_key(served: Served, turn: int) -> None:
    """64 times the same request under one Idempotency-Key: one account, 64 equal answers."""
    name = f"once-{turn}-{served.head()}"
    shot = Shot(
        served.admin,
        "POST",
        "/v1/accounts",
        {"username": name, "type": "human", "password": PASSWORD},
        {"Idempotency-Key": name},
    )

    answers = fire([shot] * MANY)

    assert statuses(answers) == {201: MANY}
    assert len({answer.raw for answer in answers}) == 1
    found = events_of(served, answers[0].body)
    assert (found["account.created"], found["password.set"]) == (1, 1)


def test_one_grant(served: Served) -> None:
    """40 clients grant the same role: each is told that it is done, one event says so."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}/roles/viewer"

    answers = fire([Shot(served.admin, "PUT", path)] * SOME)

    assert statuses(answers) == {204: SOME}
    assert events_of(served, account)["role.granted"] == 1


def test_one_version(served: Served) -> None:
    """40 writers who all read version 1: one writes, the others are told that it has changed."""
    account = served.account()
    shots = [
        Shot(
            served.admin,
            "PATCH",
            f"/v1/accounts/{account['id']}",
            {"display_name": f"Writer {number}"},
            {"If-Match": f'"{account["version"]}"'},
        )
        for number in range(SOME)
    ]

    answers = fire(shots)

    assert statuses(answers) == {200: 1, 412: SOME - 1}
    (winner,) = [answer.body for answer in answers if answer.status == 200]
    shown = served.admin.get(f"/v1/accounts/{account['id']}").body
    assert shown["display_name"] == winner["display_name"]
    assert events_of(served, account)["account.profile_changed"] == 1


def test_writers_without_a_version(served: Served) -> None:
    """40 writers without If-Match: each that is answered 200 has its event, the rest have none."""
    account = served.account()
    path = f"/v1/accounts/{account['id']}"
    bodies = [{"display_name": f"Writer {number}"} for number in range(SOME)]

    answers = fire([Shot(served.admin, "PATCH", path, body) for body in bodies])

    found = statuses(answers)
    print(f"\n{SOME} writers of one account without If-Match: {dict(found)}")
    assert found.keys() <= {200, 409, 503}
    assert all("Retry-After" in a.headers for a in answers if a.status == 503)
    assert found[200] == events_of(served, account)["account.profile_changed"]
    versions = sorted(answer.body["version"] for answer in answers if answer.status == 200)
    assert versions == list(range(2, found[200] + 2))


def test_wrong_passwords(served: Served) -> None:
    """Of 64 wrong passwords at once five are counted, then it is locked: the right one too."""
    account = served.account()
    login = {"username": account["username"], "password": WRONG}

    answers = fire([Shot(served.client, "POST", "/v1/auth/login", login) for _ in range(MANY)])

    assert statuses(answers) == {401: MANY}
    assert len({_without_id(answer) for answer in answers}) == 1
    found = events_of(served, account)
    assert (found["login.failed"], found["login.succeeded"]) == (THRESHOLD, 0)
    right = {"username": account["username"], "password": PASSWORD}
    shots = [Shot(served.client, "POST", "/v1/auth/login", right) for _ in range(SOME)]
    assert statuses(fire(shots)) == {401: SOME}
    assert events_of(served, account)["login.succeeded"] == 0


@pytest.mark.parametrize("turn", range(2))
def test_the_right_password_among_wrong_ones(served: Served, turn: int) -> None:
    """Each success starts the count again, and none comes after the failure that locked."""
    account = served.account()
    right = {"username": account["username"], "password": PASSWORD}
    bodies = [right if number % 8 == 7 else right | {"password": WRONG} for number in range(MANY)]

    answers = fire([Shot(served.client, "POST", "/v1/auth/login", body) for body in bodies])

    assert statuses(answers).keys() <= {200, 401}
    failures, locked = 0, False
    for event in served.events(f"&account={account['id']}"):
        assert not (
            locked and event["type"].startswith("login.") and "refused" not in event["type"]
        )
        if event["type"] == "login.failed":
            failures += 1
            assert event["data"]["failures"] == failures
            locked = failures == THRESHOLD
            assert locked == (event["data"]["locked_until"] is not None)
        elif event["type"] == "login.succeeded":
            failures = 0
    assert all(answers[at].status == 401 for at in range(MANY) if at % 8 != 7)


def test_an_end_counts_everywhere_at_once(served: Served) -> None:
    """Once a deactivation is answered, 40 validations on any worker find the token dead."""
    account, client = served.signed_in()
    token = {"token": str(client.token)}
    shots = [Shot(served.client, "POST", "/v1/token/validate", token) for _ in range(SOME)]
    assert {answer.body["valid"] for answer in fire(shots)} == {True}

    off = served.admin.patch(f"/v1/accounts/{account['id']}", {"status": "inactive"})

    assert off.status == 200
    assert [answer.body for answer in fire(shots)] == [{"valid": False}] * SOME


def test_two_admins_remove_each_other(fresh: Deployment) -> None:
    """Whichever is first wins; in ten rounds there is never a moment without an administrator."""
    with fresh.served() as served:
        second = served.account("admin")
        first = served.admin.get("/v1/auth/me").body["account"]
        people = [
            (first, served.client.with_token(served.token(ADMIN, ADMIN_PASSWORD))),
            (second, served.client.with_token(served.token(second["username"]))),
        ]
        for _round in range(10):
            survivor, other = _duel(people)
            again = survivor.put(f"/v1/accounts/{other['id']}/roles/admin")
            assert again.status == 204, again.raw
        assert len(children(served, "worker")) == 2
    with house_of(fresh) as house:
        check_store(house)


def _duel(people: list[tuple[Any, Client]]) -> tuple[Client, Any]:
    """Both strike at once, eight times each. Returns who is left, and whom he removed."""
    (first, one), (second, two) = people
    at_second, at_first = (f"/v1/accounts/{who['id']}/roles/admin" for who in (second, first))
    shots = [Shot(one, "DELETE", at_second), Shot(two, "DELETE", at_first)] * 8

    answers = fire(shots)

    assert statuses(answers).keys() <= {204, 403, 409}, statuses(answers)
    roles = [client.get("/v1/auth/me").body["roles"] for _account, client in people]
    assert sorted(map(len, roles)) == [0, 1], f"{roles} after {statuses(answers)}"
    return (one, second) if roles[0] else (two, first)


def _without_id(answer: Answer) -> str:
    said = answer.body
    said.pop("request_id")
    return str(sorted(said.items()))
