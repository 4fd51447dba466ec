"""What an operator sees of an account's credentials, and removes."""

from __future__ import annotations

import json

from tests.api.factors import begin, enrol, finish, with_totp
from tests.api.served import ADMIN, PASSWORD, Client, Served


def listed(client: Client, account_id: str) -> dict[str, str]:
    """Kind to id."""
    answer = client.get(f"/v1/accounts/{account_id}/credentials")
    assert answer.status == 200, answer.raw
    return {one["kind"]: one["id"] for one in answer.body["items"]}


def test_kinds_and_dates_and_no_secret(served: Served) -> None:
    """Whoever holds credentials.read, or the account itself, sees what there is, no more."""
    account, client, app = with_totp(served)
    codes = client.post("/v1/auth/recovery-codes").body["codes"]
    answer = client.get(f"/v1/accounts/{account['id']}/credentials")

    kinds = [one["kind"] for one in answer.body["items"]]
    assert kinds == ["password", "totp", "recovery-codes"]
    text = json.dumps(answer.body)
    for secret in (app.secret, codes[0], codes[0].replace("-", ""), "argon2"):
        assert secret not in text
    assert answer.body["items"][1]["last_used_at"] is not None
    assert listed(served.admin, account["id"]) == listed(client, account["id"])
    _, stranger = served.signed_in()
    assert stranger.get(f"/v1/accounts/{account['id']}/credentials").status == 403
    page = client.get(f"/v1/accounts/{account['id']}/credentials?limit=2").body
    rest = client.get(f"/v1/accounts/{account['id']}/credentials?limit=2&after={page['next']}")
    assert [len(page["items"]), len(rest.body["items"])] == [2, 1]


def test_an_operator_removes_a_factor(served: Served) -> None:
    """Afterwards the password is enough; the others stay; again is 404."""
    account, client, _ = with_totp(served)
    client.post("/v1/auth/recovery-codes")
    path = f"/v1/accounts/{account['id']}/credentials"
    held = listed(served.admin, account["id"])
    assert client.delete(f"{path}/{held['totp']}").status == 403

    assert served.admin.delete(f"{path}/{held['totp']}").status == 204

    assert client.get("/v1/auth/me").status == 401, "what the factor opened has ended"
    again = begin(served.client, account["username"])
    assert again.status == 200
    client = served.client.with_token(again.body["access_token"])
    assert set(listed(client, account["id"])) == {"password", "recovery-codes"}
    assert served.admin.delete(f"{path}/{held['totp']}").status == 404
    assert served.admin.delete(f"{path}/{held['recovery-codes']}").status == 204
    removed = served.events(f"&account={account['id']}&type=totp.removed")
    assert [event["data"]["cause"] for event in removed] == ["operator"]
    app = enrol(client)
    token = begin(served.client, account["username"]).body["mfa_token"]
    assert finish(served.client, token, totp_code=app.code()).status == 200


def test_a_removed_password_ends_what_it_opened(served: Served) -> None:
    """Nobody signs in by it, and its sessions are over."""
    account, client = served.signed_in()
    path = f"/v1/accounts/{account['id']}/credentials"
    assert served.admin.delete(f"{path}/{listed(client, account['id'])['password']}").status == 204
    assert client.get("/v1/auth/me").status == 401
    assert begin(served.client, account["username"]).status == 401
    body = {"password": PASSWORD}
    assert served.admin.put(f"/v1/accounts/{account['id']}/password", body).status == 204
    assert begin(served.client, account["username"]).status == 200


def test_one_accounts_credential_is_not_anothers(served: Served) -> None:
    """The id must be that account's; an operator cannot strip an administrator."""
    one, other = served.account(), served.account()
    ids = listed(served.admin, one["id"])
    path = f"/v1/accounts/{other['id']}/credentials/{ids['password']}"
    assert served.admin.delete(path).status == 404
    _, operator = served.signed_in("operator")
    admin_id = served.admin.get(f"/v1/accounts?username={ADMIN}").body["items"][0]["id"]
    held = listed(served.admin, admin_id)
    assert operator.delete(f"/v1/accounts/{admin_id}/credentials/{held['password']}").status == 403


def test_nothing_is_left_of_the_erased(served: Served) -> None:
    """The list of an erased account is empty."""
    account, _, _ = with_totp(served)
    body = {"confirm": account["username"]}
    assert served.admin.post(f"/v1/accounts/{account['id']}/erase", body).status == 204
    assert listed(served.admin, account["id"]) == {}
