"""OAuth 2 over HTTP: tokens renewed, looked at and given up (RFC 6749, 7662, 7009)."""

from __future__ import annotations

from base64 import b64encode

from tests.api.oauth2 import (
    Machine,
    counts,
    error,
    payload,
    post,
)
from tests.api.served import PASSWORD, Served


def test_renewal(served: Served) -> None:
    """The refresh token of a sign-in is renewed here as at /v1/auth/renew; reuse ends it."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    answer = post(served.client, "/oauth2/token", form | {"client_id": "gatebook"})
    assert (answer.status, answer.body["token_type"]) == (200, "Bearer")
    assert counts(served, answer.body["access_token"])
    again = form | {"refresh_token": answer.body["refresh_token"]}
    newest = post(served.client, "/oauth2/token", again).body
    stale = post(served.client, "/oauth2/token", form, {"User-Agent": "other"})
    assert error(stale) == (400, "invalid_grant")
    assert not counts(served, newest["access_token"])


def test_renewal_is_the_public_clients(served: Served) -> None:
    """A confidential client, another name, a wider scope or another resource renew nothing."""
    machine = Machine(served)
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    by_machine = post(served.client, "/oauth2/token", form, machine.basic())
    assert error(by_machine) == (400, "invalid_grant")
    named = post(served.client, "/oauth2/token", form | {"client_id": machine.id})
    assert error(named) == (401, "invalid_client")
    wider = post(served.client, "/oauth2/token", form | {"scope": "accounts.write"})
    assert error(wider) == (400, "invalid_scope")
    elsewhere = post(served.client, "/oauth2/token", form | {"resource": "https://shop.example"})
    assert error(elsewhere) == (400, "invalid_target")
    for token in ("x", pair["access_token"], "gbr_" + "A" * 70):
        wrong = post(served.client, "/oauth2/token", form | {"refresh_token": token})
        assert error(wrong) == (400, "invalid_grant")
    assert post(served.client, "/oauth2/token", form).status == 200


def test_introspection(served: Served) -> None:
    """Access token, API key and refresh token are told apart, and appended nothing."""
    machine = Machine(served, "viewer", scope="accounts.read")
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    token = machine.token().body["access_token"]
    said = payload(token)
    before = served.head()
    assert machine.introspect(token) == {
        "active": True,
        "scope": "accounts.read",
        "client_id": machine.id,
        "username": machine.account["username"],
        "token_type": "Bearer",
        **{name: said[name] for name in ("exp", "iat", "nbf", "sub", "aud", "iss", "jti")},
    }
    mine = machine.introspect(pair["access_token"], token_type_hint="refresh_token")
    assert (mine["sub"], mine["client_id"]) == (account["id"], "gatebook")
    key = machine.introspect(machine.secret)
    assert (key["active"], key["jti"], key["sub"]) == (True, machine.key_id, machine.id)
    refresh = machine.introspect(pair["refresh_token"])
    assert (refresh["token_type"], refresh["sub"]) == ("refresh_token", account["id"])
    assert served.head() == before


def test_what_is_not_active(served: Served) -> None:
    """For anything that does not count now: exactly {"active": false}."""
    machine = Machine(served)
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    client = served.client.with_token(pair["access_token"])
    assert client.post("/v1/auth/logout").status == 204
    revoked = machine.token().body["access_token"]
    jti = payload(revoked)["jti"]
    assert served.admin.delete(f"/v1/token/{jti}").status == 204
    for token in (pair["access_token"], pair["refresh_token"], revoked, "x", "gbk_x", "a.b.c"):
        assert machine.introspect(token) == {"active": False}, token


def test_who_may_introspect(served: Served) -> None:
    """A client or whoever has a token of his own; nobody else, and not the public client."""
    machine = Machine(served)
    _, person = served.signed_in()
    token = machine.token().body["access_token"]
    form = {"token": token}
    for bearer in (person.token, machine.secret):
        headers = {"Authorization": f"Bearer {bearer}"}
        assert post(served.client, "/oauth2/introspect", form, headers).body["active"] is True
    nobody = post(served.client, "/oauth2/introspect", form)
    assert error(nobody) == (401, "invalid_client")
    public = post(served.client, "/oauth2/introspect", form | {"client_id": "gatebook"})
    assert error(public) == (401, "invalid_client")
    bad = post(served.client, "/oauth2/introspect", form, {"Authorization": "Bearer x"})
    assert error(bad) == (401, "invalid_token")
    assert bad.headers["WWW-Authenticate"] == "Bearer"
    assert error(post(served.client, "/oauth2/introspect", {}, machine.basic())) == (
        400,
        "invalid_request",
    )


def test_clients_revoke_their_own(served: Served) -> None:
    """A client ends its tokens and its keys; another's are refused and live on."""
    machine, other = Machine(served), Machine(served)
    token, theirs = (m.token().body["access_token"] for m in (machine, other))
    foreign = post(served.client, "/oauth2/revoke", {"token": theirs}, machine.basic())
    assert error(foreign) == (400, "invalid_grant")
    assert counts(served, theirs)
    foreign = post(served.client, "/oauth2/revoke", {"token": other.secret}, machine.basic())
    assert error(foreign) == (400, "invalid_grant")
    assert other.token().status == 200

    form = {"token": token, "token_type_hint": "refresh_token"}
    answer = post(served.client, "/oauth2/revoke", form, machine.basic())
    assert (answer.status, answer.raw) == (200, b"")
    assert not counts(served, token)
    again = post(served.client, "/oauth2/revoke", form, machine.basic())
    assert again.status == 200
    spent = post(served.client, "/oauth2/revoke", {"token": machine.secret}, machine.basic())
    assert spent.status == 200
    assert error(machine.token()) == (401, "invalid_client")


def test_the_public_client_revokes_by_possession(served: Served) -> None:
    """A refresh token ends its session, an access token itself alone; the actor is the owner."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    machine = Machine(served)
    for token in (pair["access_token"], pair["refresh_token"]):
        foreign = post(served.client, "/oauth2/revoke", {"token": token}, machine.basic())
        assert error(foreign) == (400, "invalid_grant")
    assert counts(served, pair["access_token"])
    assert post(served.client, "/oauth2/revoke", {"token": pair["access_token"]}).status == 200
    assert not counts(served, pair["access_token"])
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    renewed = post(served.client, "/oauth2/token", form).body
    assert counts(served, renewed["access_token"])
    ended = post(
        served.client,
        "/oauth2/revoke",
        {"token": renewed["refresh_token"], "client_id": "gatebook"},
    )
    assert ended.status == 200
    assert not counts(served, renewed["access_token"])
    (event,) = served.events(f"&account={account['id']}&type=session.ended")
    assert (event["actor"]["id"], event["data"]["cause"]) == (account["id"], "revoked")
    mine = machine.token().body["access_token"]
    assert error(post(served.client, "/oauth2/revoke", {"token": mine})) == (400, "invalid_grant")


def test_unknown_tokens_are_no_error(served: Served) -> None:
    """RFC 7009, 2.2; but the client must be one, and there must be a token."""
    machine = Machine(served)
    for token in ("x", "gbr_" + "A" * 70, machine.secret[:-1] + "!", "a.b.c"):
        assert post(served.client, "/oauth2/revoke", {"token": token}).status == 200
        assert (
            post(served.client, "/oauth2/revoke", {"token": token}, machine.basic()).status == 200
        )
    wrong = {"Authorization": "Basic " + b64encode(f"{machine.id}:x".encode()).decode()}
    assert error(post(served.client, "/oauth2/revoke", {"token": "x"}, wrong)) == (
        401,
        "invalid_client",
    )
    assert error(post(served.client, "/oauth2/revoke", {})) == (400, "invalid_request")
