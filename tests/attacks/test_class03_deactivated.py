"""Class 3, a deactivated principal is still served.

Zitadel CVE-2024-46999, -47000, -47060; Keycloak CVE-2026-1609, -1486, -8922; authentik
CVE-2025-64521, CVE-2025-29928; Pocket ID CVE-2026-43983; Casdoor CVE-2026-9097.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.served import PASSWORD, Client, Served
from tests.attacks.tools import begun, hash_gate_shut

NEW = "the thief owns this one 99"
LATER = 0.7
"""Seconds within which a request reaches the shut gate."""

Ending = Callable[[Client, str], int]


def _revoke_all(admin: Client, account_id: str) -> int:
    return admin.delete(f"/v1/accounts/{account_id}/tokens").status


def _deactivate(admin: Client, account_id: str) -> int:
    return admin.patch(f"/v1/accounts/{account_id}", {"status": "inactive"}).status


def _delete(admin: Client, account_id: str) -> int:
    return admin.delete(f"/v1/accounts/{account_id}").status


def _reset(admin: Client, account_id: str) -> int:
    return admin.put(f"/v1/accounts/{account_id}/password", {"password": NEW}).status


ENDINGS: dict[str, Ending] = {
    "revoked": _revoke_all,
    "inactive": _deactivate,
    "deleted": _delete,
    "reset": _reset,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_whatever_ends_an_account_ends_all_it_had(served: Served, how: str) -> None:
    """Token, check, validate and renewal are refused from the answer on, and stay so."""
    account = served.account("viewer")
    pair = served.client.login(account["username"], PASSWORD)
    client = served.client.with_token(pair["access_token"])
    assert client.get("/v1/accounts?limit=1").status == 200

    assert ENDINGS[how](served.admin, account["id"]) in (200, 204)

    def refused() -> None:
        assert client.get("/v1/auth/me").status == 401
        assert client.get("/v1/auth/check").status == 401
        assert client.get("/v1/accounts?limit=1").status == 401
        token = {"token": pair["access_token"]}
        assert served.client.post("/v1/token/validate", token).body == {"valid": False}
        renewal = {"refresh_token": pair["refresh_token"]}
        assert served.client.post("/v1/auth/renew", renewal).status == 401

    refused()
    if how == "inactive":
        served.admin.patch(f"/v1/accounts/{account['id']}", {"status": "active"})
    if how == "deleted":
        served.admin.post(f"/v1/accounts/{account['id']}/restore", {})
    refused()


def test_an_issued_token_ends_with_its_account(served: Served) -> None:
    """A system account's token does not come back with the account."""
    account = served.account("viewer", kind="system")
    issued = served.admin.post("/v1/token/issue", {"account_id": account["id"]})
    client = served.client.with_token(issued.body["access_token"])
    assert client.get("/v1/auth/me").status == 200

    _deactivate(served.admin, account["id"])
    refused = served.admin.post("/v1/token/issue", {"account_id": account["id"]})
    assert refused.status == 409
    served.admin.patch(f"/v1/accounts/{account['id']}", {"status": "active"})

    assert client.get("/v1/auth/me").status == 401


def test_a_revoked_role_counts_at_once(served: Served) -> None:
    """What the token says of roles does not matter."""
    account, client = served.signed_in("auditor")
    assert client.get("/v1/audit?limit=1").status == 200

    served.admin.delete(f"/v1/accounts/{account['id']}/roles/auditor")

    assert client.get("/v1/audit?limit=1").status == 403
    verdict = served.client.post("/v1/token/validate", {"token": client.token}).body
    assert verdict["account"]["roles"] == verdict["claims"]["roles"] == []


def test_a_grant_ends_on_time(served: Served) -> None:
    """A role held for two seconds is not held in the third."""
    account, client = served.signed_in()
    until = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    path = f"/v1/accounts/{account['id']}/roles/auditor?expires_at={until}"
    assert served.admin.put(path).status == 204
    assert client.get("/v1/audit?limit=1").status == 200

    time.sleep(2.1)

    assert client.get("/v1/audit?limit=1").status == 403


@pytest.mark.parametrize("how", ["revoked", "inactive"])
def test_a_password_change_in_flight_revives_nothing(served: Served, how: str) -> None:
    """A change that waits for its hash while all sessions end neither succeeds nor revives one."""
    account, client = served.signed_in()
    change = {"current_password": PASSWORD, "new_password": NEW}
    with hash_gate_shut(served.deployment):
        answer = begun(lambda: client.put("/v1/auth/password", change).status)
        time.sleep(LATER)
        assert ENDINGS[how](served.admin, account["id"]) in (200, 204)
        assert client.get("/v1/auth/me").status == 401

    assert answer.result(40) in (401, 403, 409)
    served.admin.patch(f"/v1/accounts/{account['id']}", {"status": "active"})
    assert client.get("/v1/auth/me").status == 401
    assert served.token(account["username"])


def test_a_command_in_flight_ends_with_its_giver(served: Served) -> None:
    """What an operator asked for is not done once he is switched off."""
    operator, client = served.signed_in("operator")
    victim = served.account()
    body = {"username": f"backdoor-{time.monotonic_ns()}", "type": "human", "password": NEW}
    with hash_gate_shut(served.deployment):
        path = f"/v1/accounts/{victim['id']}/password"
        reset = begun(lambda: client.put(path, {"password": NEW}).status)
        made = begun(lambda: client.post("/v1/accounts", body).status)
        time.sleep(LATER)
        assert _deactivate(served.admin, operator["id"]) == 200
        assert client.get("/v1/auth/me").status == 401

    assert (reset.result(40), made.result(40)) == (401, 401)
    assert served.token(victim["username"])


def test_a_command_in_flight_ends_with_its_token(served: Served) -> None:
    """What a machine asked for is not done once its token is revoked by its id."""
    machine = served.account("operator", kind="system")
    issued = served.admin.post("/v1/token/issue", {"account_id": machine["id"]}).body
    client = served.client.with_token(issued["access_token"])
    victim = served.account()
    with hash_gate_shut(served.deployment):
        path = f"/v1/accounts/{victim['id']}/password"
        reset = begun(lambda: client.put(path, {"password": NEW}).status)
        time.sleep(LATER)
        assert served.admin.delete(f"/v1/token/{issued['jti']}").status == 204
        assert client.get("/v1/auth/me").status == 401

    assert reset.result(40) == 401
    assert served.token(victim["username"])


def test_a_sign_in_in_flight_ends_with_the_account(served: Served) -> None:
    """A sign-in that waits for its hash while the account goes gives no token that counts."""
    account = served.account()
    body = {"username": account["username"], "password": PASSWORD}
    with hash_gate_shut(served.deployment):
        answer = begun(lambda: served.client.post("/v1/auth/login", body))
        time.sleep(LATER)
        assert _deactivate(served.admin, account["id"]) == 200

    found = answer.result(40)
    served.admin.patch(f"/v1/accounts/{account['id']}", {"status": "active"})
    if found.status == 200:
        client = served.client.with_token(found.body["access_token"])
        assert client.get("/v1/auth/me").status == 401
        renewal = {"refresh_token": found.body["refresh_token"]}
        assert served.client.post("/v1/auth/renew", renewal).status == 401
    else:
        assert found.status == 401


def test_a_remembered_sign_in_gives_nothing_that_lives(served: Served) -> None:
    """A repeated sign-in gets its first answer again (contract 1), and the pair in it is dead."""
    account = served.account()
    body = {"username": account["username"], "password": PASSWORD}
    key = {"Idempotency-Key": "signed-in-once"}
    assert served.client.post("/v1/auth/login", body, headers=key).status == 200
    assert _deactivate(served.admin, account["id"]) == 200

    again = served.client.post("/v1/auth/login", body, headers=key)
    assert again.status == 200
    client = served.client.with_token(again.body["access_token"])
    assert client.get("/v1/auth/me").status == 401
    renewal = {"refresh_token": again.body["refresh_token"]}
    assert served.client.post("/v1/auth/renew", renewal).status == 401
