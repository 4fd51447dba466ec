"""The list of credentials has every kind, and an operator removes what is his to remove."""

from __future__ import annotations

from tests.api.emergency import armed
from tests.api.served import Served


def kinds(served: Served, account_id: str) -> dict[str, str]:
    """Kind to id, of what an account has."""
    items = served.admin.get(f"/v1/accounts/{account_id}/credentials").body["items"]
    return {one["kind"]: one["id"] for one in items}


def test_keys_and_emergency_passwords_are_listed(served: Served) -> None:
    """An API key is listed with its end, and removed; a break-glass password has its own way."""
    account = armed(served)
    path = f"/v1/accounts/{account['id']}"
    body = {"name": "ci", "expires_at": "2099-01-01T00:00:00Z"}
    made = served.admin.post(f"{path}/api-keys", body).body
    found = kinds(served, account["id"])
    assert set(found) == {"password", "api-key", "break-glass"}
    assert found["api-key"] == made["id"]

    shown = served.admin.get(f"{path}/credentials").raw.decode()
    assert made["key"] not in shown
    assert "argon2" not in shown
    assert served.admin.delete(f"{path}/credentials/{found['break-glass']}").status == 409
    assert served.admin.delete(f"{path}/credentials/{made['id']}").status == 204
    assert served.client.with_token(made["key"]).get("/v1/auth/me").status == 401
    assert set(kinds(served, account["id"])) == {"password", "break-glass"}
    assert served.admin.delete(f"/v1/auth/breakglass/credentials/{account['id']}").status == 204
    assert set(kinds(served, account["id"])) == {"password"}


def test_rotated_keys(served: Served) -> None:
    """The key that is followed ends when the overlap does."""
    machine = served.account(kind="system")
    path = f"/v1/accounts/{machine['id']}"
    made = served.admin.post(f"{path}/api-keys", {"name": "x"}).body
    assert served.admin.post(f"{path}/api-keys/{made['id']}/rotate", {"overlap": 60}).status == 201
    items = served.admin.get(f"{path}/credentials").body["items"]
    assert [one["expires_at"] is None for one in items] == [False, True]
