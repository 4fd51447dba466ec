"""Class 8: a session from before the second factor does not take the factor over."""

from __future__ import annotations

from tests.api.factors import App, enrol
from tests.api.served import Served


def test_a_session_from_before_the_factor_changes_no_factor(served: Served) -> None:
    """Whoever signed in by password alone, just before, does not get the owner's factor."""
    account, owner = served.signed_in("operator")
    thief = served.client.with_token(served.token(account["username"]))
    enrol(owner)

    offered = thief.post("/v1/auth/totp", {})
    if offered.status == 200:
        code = App(offered.body["secret"]).code()
        assert thief.post("/v1/auth/totp/confirm", {"code": code}).status in (401, 403)
    assert thief.post("/v1/auth/recovery-codes", {}).status in (401, 403)


def test_a_factor_removed_by_an_operator_ends_its_sessions(served: Served) -> None:
    """A stolen authenticator's sessions end with it, as a password's do."""
    account, owner = served.signed_in()
    app = enrol(owner)
    body = {"username": account["username"], "password": "violet tractor hums at dawn 42"}
    answer = served.client.post("/v1/auth/login", body | {"totp_code": app.code()})
    thief = served.client.with_token(answer.body["access_token"])
    path = f"/v1/accounts/{account['id']}/credentials"
    [totp] = [one for one in served.admin.get(path).body["items"] if one["kind"] == "totp"]
    assert served.admin.delete(f"{path}/{totp['id']}").status == 204
    assert thief.get("/v1/auth/me").status == 401
