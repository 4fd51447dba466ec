"""Class 1, a race on a single-use artefact.

Keycloak CVE-2026-1035, -9802, -90997; Zitadel CVE-2025-46815; OpenBao and Vault CVE-2025-55000,
-55003, -6014, -6015.
"""

from __future__ import annotations

from pathlib import Path

from tests.api.served import BOOTSTRAP_TOKEN, ELSEWHERE, PASSWORD, Deployment, Served
from tests.attacks.tools import at_once


def test_one_refresh_token_64_times_at_once(served: Served) -> None:
    """One client's 64 uses at once are one succession: all get the same successor."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    renewal = {"refresh_token": pair["refresh_token"]}

    answers = at_once(64, lambda _: served.client.post("/v1/auth/renew", renewal))

    good = [answer.body for answer in answers if answer.status == 200]
    assert good
    assert {answer.status for answer in answers} <= {200, 503}
    assert len({one["refresh_token"] for one in good}) == 1
    types = [event["type"] for event in served.events(f"&account={account['id']}")]
    assert types.count("session.rotated") == 1
    assert types.count("token.reuse_detected") == 0


def test_one_refresh_token_from_two_places(served: Served) -> None:
    """64 uses at once by two clients: one succession at most, and the family ends."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    renewal = {"refresh_token": pair["refresh_token"]}
    places = [{"User-Agent": "curl/8.0"}, {"User-Agent": "Mozilla/5.0 Firefox/140.0"}]

    answers = at_once(
        64, lambda n: served.client.post("/v1/auth/renew", renewal, headers=places[n % 2])
    )

    good = [answer.body for answer in answers if answer.status == 200]
    assert good
    assert {answer.status for answer in answers} <= {200, 401, 503}
    assert len({one["refresh_token"] for one in good}) == 1
    client = served.client.with_token(good[0]["access_token"])
    assert client.get("/v1/auth/me").status == 401
    successor = {"refresh_token": good[0]["refresh_token"]}
    assert served.client.post("/v1/auth/renew", successor).status == 401
    types = [event["type"] for event in served.events(f"&account={account['id']}")]
    assert types.count("session.rotated") == 1
    assert types.count("token.reuse_detected") == types.count("session.ended") == 1


def test_after_kill_9(own: Deployment) -> None:
    """What was used, and what was locked, before the crash is so after it."""
    with own.served() as server:
        account, locked = server.account(), server.account()
        pair = server.client.login(account["username"], PASSWORD)
        renewal = {"refresh_token": pair["refresh_token"]}
        body = {"username": locked["username"], "password": "a wrong tractor 12"}
        for _ in range(5):
            assert server.client.post("/v1/auth/login", body).status == 401
        answer = server.client.post("/v1/auth/renew", renewal)
        server.process.kill()
        server.process.wait(20)
    with own.served() as server:
        again = server.client.post("/v1/auth/renew", renewal)
        assert again.status in (200, 401), "within ten seconds, or later on a slow machine"
        if again.status == 200:
            assert again.body["refresh_token"] == answer.body["refresh_token"]
        assert server.client.post("/v1/auth/renew", renewal, headers=ELSEWHERE).status == 401
        body["password"] = PASSWORD
        assert server.client.post("/v1/auth/login", body).status == 401


def test_the_seat_is_taken_once(tmp_path: Path) -> None:
    """Thirty-two holders of the bootstrap token race: one admin, the others hear 410."""
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 2\nthreads = 8")
    own.create(admin=False)
    with own.served() as server:

        def seat(number: int) -> int:
            body = {"token": BOOTSTRAP_TOKEN, "username": f"first-{number}", "password": PASSWORD}
            return server.client.post("/v1/bootstrap", body).status

        answers = at_once(32, seat)

        assert answers.count(201) == 1
        assert set(answers) <= {201, 410, 503}
        assert seat(99) == 410


def test_one_name_64_times_at_once(served: Served) -> None:
    """One of any number of registrations of one name wins, whatever its spelling."""
    spellings = (
        "race-of-names",
        "Race-Of-Names",
        "RACE-OF-NAMES",
        "\uff52\uff41\uff43\uff45-of-names",
    )

    def register(number: int) -> int:
        body = {"username": spellings[number % 4], "type": "system"}
        return served.admin.post("/v1/accounts", body).status

    answers = at_once(64, register)

    assert answers.count(201) == 1
    assert set(answers) <= {201, 409, 503}


def test_one_key_32_times_at_once(served: Served) -> None:
    """One Idempotency-Key makes one token, and all callers get that one."""
    account = served.account(kind="system")
    order = {"account_id": account["id"]}
    key = {"Idempotency-Key": "once"}

    answers = at_once(32, lambda _: served.admin.post("/v1/token/issue", order, headers=key))

    assert {answer.status for answer in answers} <= {201, 503}
    assert len({answer.body["jti"] for answer in answers if answer.status == 201}) == 1
    assert len(served.events(f"&account={account['id']}&type=token.issued")) == 1


def test_two_admins_unseat_each_other(own: Deployment) -> None:
    """However they race, one admin stays."""
    with own.served() as server:
        one, one_client = server.signed_in("admin")
        two, two_client = server.signed_in("admin")
        first = server.admin.get("/v1/auth/me").body["account"]["id"]
        assert one_client.delete(f"/v1/accounts/{first}/roles/admin").status == 204
        deeds = (
            lambda: one_client.delete(f"/v1/accounts/{two['id']}/roles/admin").status,
            lambda: two_client.patch(f"/v1/accounts/{one['id']}", {"status": "inactive"}).status,
        )

        at_once(2, lambda number: deeds[number]())

        alive = [c for c in (one_client, two_client) if c.get("/v1/audit?limit=1").status == 200]
        assert len(alive) == 1
