"""Class 4, a missing binding: every bound value is swapped for another's.

Zitadel CVE-2026-55672, -55669; Pocket ID CVE-2026-28513; Vault CVE-2024-5798; Casdoor
CVE-2026-9093, -9098; authentik CVE-2025-52553; OpenBao CVE-2026-39388.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from tests.api.served import PASSWORD, Served


def test_audience(served: Served) -> None:
    """A token for another audience is valid for that one, and opens nothing here."""
    account = served.account("admin", kind="system")
    order = {"account_id": account["id"], "audience": "https://elsewhere.example"}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]
    client = served.client.with_token(token)

    assert client.get("/v1/auth/me").status == 401
    assert client.get("/v1/auth/check").status == 401
    assert client.post("/v1/accounts", {"username": "not-made", "type": "system"}).status == 401


def test_sessions_of_others(served: Served) -> None:
    """Nobody ends, or sees, another's session through his own account."""
    mallory, client = served.signed_in()
    victim, victims = served.signed_in()
    session = victims.get("/v1/auth/sessions").body["items"][0]["id"]

    assert client.delete(f"/v1/auth/sessions/{session}").status == 404
    assert client.delete(f"/v1/accounts/{mallory['id']}/sessions/{session}").status == 404
    assert client.delete(f"/v1/accounts/{victim['id']}/sessions/{session}").status == 403
    assert served.admin.delete(f"/v1/accounts/{mallory['id']}/sessions/{session}").status == 404
    assert victims.get("/v1/auth/me").status == 200


def test_parts_of_refresh_tokens(served: Served) -> None:
    """Session, rotation and MAC of two refresh tokens cannot be put together anew."""
    account = served.account()
    tokens = []
    for _ in range(2):
        tokens.append(served.client.login(account["username"], PASSWORD)["refresh_token"])
    one, two = (urlsafe_b64decode(token[4:] + "==") for token in tokens)
    forged = [
        one[:16] + two[16:],
        two[:16] + one[16:],
        one[:16] + (1).to_bytes(4, "big") + one[20:],
        one[:16] + (2**32 - 1).to_bytes(4, "big") + one[20:],
        one[:-1] + bytes([one[-1] ^ 1]),
        one[:20] + bytes(32),
    ]

    for raw in forged:
        token = "gbr_" + urlsafe_b64encode(raw).rstrip(b"=").decode()
        assert served.client.post("/v1/auth/renew", {"refresh_token": token}).status == 401
    for spelling in (tokens[0][4:], tokens[0] + "=", tokens[0].upper(), tokens[0][:-1]):
        assert served.client.post("/v1/auth/renew", {"refresh_token": spelling}).status == 401
    for token in tokens:
        assert served.client.post("/v1/auth/renew", {"refresh_token": token}).status == 200


def test_idempotency_key_of_another(served: Served) -> None:
    """A key gives its answer to the caller who used it, for the request he used it with."""
    account = served.account(kind="system")
    _, other = served.signed_in("operator")
    order, key = {"account_id": account["id"]}, {"Idempotency-Key": "mine"}
    mine = served.admin.post("/v1/token/issue", order, headers=key).body["jti"]

    theirs = other.post("/v1/token/issue", order, headers=key)
    unlocked = served.admin.post(f"/v1/accounts/{account['id']}/unlock", {}, headers=key)

    assert theirs.status == 201
    assert theirs.body["jti"] != mine
    assert unlocked.status == 204
    assert other.with_token(None).post("/v1/token/issue", order, headers=key).status == 401


def test_idempotency_key_after_the_permission_is_gone(served: Served) -> None:
    """A remembered secret is not shown to who may not ask for it any more."""
    account = served.account(kind="system")
    operator, client = served.signed_in("operator")
    order, key = {"account_id": account["id"]}, {"Idempotency-Key": "shown-once"}
    assert client.post("/v1/token/issue", order, headers=key).status == 201

    served.admin.delete(f"/v1/accounts/{operator['id']}/roles/operator")

    assert client.post("/v1/token/issue", order, headers=key).status == 403


def test_cursors_of_other_lists(served: Served) -> None:
    """A cursor fits the list that gave it."""
    for _ in range(2):
        served.account()
    cursor = served.admin.get("/v1/accounts?limit=1").body["next"]

    for path in ("/v1/audit", "/v1/roles", "/v1/permissions", "/v1/keys", "/v1/auth/sessions"):
        assert served.admin.get(f"{path}?after={cursor}").status == 400, path
    assert served.admin.get(f"/v1/accounts?after={cursor}").status == 200


def test_a_revoked_token_takes_no_other_with_it(served: Served) -> None:
    """Neither its session's next token, nor another account's."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    listed = served.admin.get(f"/v1/accounts/{account['id']}/tokens").body["items"]
    renewed = served.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]}).body

    served.admin.delete(f"/v1/token/{listed[0]['jti']}")

    assert served.client.with_token(pair["access_token"]).get("/v1/auth/me").status == 401
    assert served.client.with_token(renewed["access_token"]).get("/v1/auth/me").status == 200
