"""OAuth 2 over HTTP: client credentials and metadata (RFC 6749, 8414, 8707, 9068)."""

from __future__ import annotations

import time
import uuid
from base64 import b64encode

import jwt
import pytest

from tests.api.oauth2 import (
    ASSERTION_TYPE,
    FORM,
    Machine,
    counts,
    error,
    issuer,
    payload,
    post,
)
from tests.api.served import Served

READ = ["accounts.read", "roles.read"]


def test_client_credentials(served: Served) -> None:
    """A secret buys an at+jwt (RFC 9068) that counts, is recorded, and has no refresh token."""
    machine = Machine(served, "viewer")
    answer = machine.token()
    assert (answer.status, answer.body["token_type"]) == (200, "Bearer")
    assert set(answer.body) == {"access_token", "token_type", "expires_in"}
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.body["access_token"]
    said = payload(token)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert (said["sub"], said["client_id"]) == (machine.id, machine.id)
    assert {"iss", "exp", "aud", "iat", "jti"} <= set(said)
    assert said["exp"] - said["iat"] == 900
    assert answer.body["expires_in"] in (899, 900)
    assert counts(served, token)
    (event,) = served.events(f"&account={machine.id}&type=token.issued")
    assert (event["stream"]["id"], event["actor"]["id"]) == (said["jti"], machine.id)


def test_secret_in_the_body(served: Served) -> None:
    """client_secret_post is as good as client_secret_basic."""
    machine = Machine(served)
    form = {
        "grant_type": "client_credentials",
        "client_id": machine.id,
        "client_secret": machine.secret,
    }
    assert post(served.client, "/oauth2/token", form).status == 200


def test_wrong_clients(served: Served) -> None:
    """Whatever is wrong with a client, it is invalid_client, 401, in the same bytes."""
    machine, other = Machine(served), Machine(served)
    person = served.account()
    key = served.admin.post(f"/v1/accounts/{person['id']}/api-keys", {}).body["key"]
    off = Machine(served)
    assert served.admin.patch(f"/v1/accounts/{off.id}", {"status": "inactive"}).status == 200
    said = set()
    for client_id, secret in (
        (machine.id, other.secret),
        (machine.id, machine.secret[:-1] + "!"),
        (machine.id, "x"),
        (str(uuid.uuid4()), machine.secret),
        ("nobody", machine.secret),
        (person["id"], key),
        (off.id, off.secret),
        (machine.id.upper(), machine.secret),
    ):
        form = {"grant_type": "client_credentials"}
        pair = b64encode(f"{client_id}:{secret}".encode()).decode()
        by_header = post(served.client, "/oauth2/token", form, {"Authorization": f"Basic {pair}"})
        by_body = post(
            served.client,
            "/oauth2/token",
            form | {"client_id": client_id, "client_secret": secret},
        )
        for answer in (by_header, by_body):
            assert error(answer) == (401, "invalid_client"), (client_id, secret)
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
            said.add(answer.raw)
    assert len(said) == 1


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic eA==", "Bearer x", "Basic %", "x y"])
def test_odd_headers(served: Served, header: str) -> None:
    """An Authorization header that is no Basic pair proves nothing."""
    form = {"grant_type": "client_credentials"}
    answer = post(served.client, "/oauth2/token", form, {"Authorization": header})
    assert error(answer) == (401, "invalid_client")


def test_one_authentication_at_a_time(served: Served) -> None:
    """More than one way to prove who one is, in one request, is refused."""
    machine = Machine(served)
    form = {"grant_type": "client_credentials"}
    more = {"client_id": machine.id, "client_secret": machine.secret}
    asserted = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c"}
    for answer in (
        post(served.client, "/oauth2/token", form | more, machine.basic()),
        post(served.client, "/oauth2/token", form | asserted, machine.basic()),
        post(served.client, "/oauth2/token", form | asserted | more),
        post(served.client, "/oauth2/token", form | {"client_id": "x"}, machine.basic()),
    ):
        assert error(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=authorization_code", "unsupported_grant_type"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&scope=a&scope=b", "invalid_request"),
        ("grant_type=%ff", "invalid_request"),
        ("grant_type=%zz", "invalid_request"),
        ("grant_type=a%00", "invalid_request"),
        ("&".join(f"a{n}=1" for n in range(40)), "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=" + "x" * 9000, "invalid_request"),
    ],
)
def test_malformed(served: Served, text: str, expected: str) -> None:
    """What is wrong with a request is told in the words of RFC 6749."""
    assert error(post(served.client, "/oauth2/token", text)) == (400, expected)


def test_not_a_form(served: Served) -> None:
    """JSON is not what these endpoints read, and GET is not how they are asked."""
    answer = served.client.post("/oauth2/token", {"grant_type": "client_credentials"})
    assert error(answer) == (415, "invalid_request")
    assert served.client.get("/oauth2/token").status == 405
    long = post(served.client, "/oauth2/token", "a=" + "x" * 70_000)
    assert long.status == 413


def test_unknown_parameters_are_ignored(served: Served) -> None:
    """And so is a charset of the media type (RFC 6749, 3.2)."""
    machine = Machine(served)
    headers = {"Content-Type": f"{FORM};charset=UTF-8"}
    assert machine.token(foo="bar", headers=headers).status == 200


def test_scopes(served: Served) -> None:
    """Asked for within what the client is configured with; all of it when none is asked."""
    machine = Machine(served, "viewer")
    assert error(machine.token(scope="accounts.read")) == (400, "invalid_scope")
    machine.configure(scopes=[*READ, "invoices"])
    assert machine.token().body["scope"] == "accounts.read roles.read invoices"
    narrow = machine.token(scope="accounts.read").body
    assert narrow["scope"] == payload(narrow["access_token"])["scope"] == "accounts.read"
    client = served.client.with_token(narrow["access_token"])
    assert (client.get("/v1/accounts?limit=1").status, client.get("/v1/roles").status) == (200, 403)
    for scope in ("accounts.write", "accounts.read accounts.write", "accounts.read  roles.read"):
        assert error(machine.token(scope=scope)) == (400, "invalid_scope"), scope


def test_a_narrow_secret_buys_narrow_tokens(served: Served) -> None:
    """The scope of the API key holds for what it buys, configured or not."""
    machine = Machine(served, "viewer", scope="accounts.read")
    token = machine.token().body
    assert token["scope"] == "accounts.read"
    assert served.client.with_token(token["access_token"]).get("/v1/roles").status == 403
    assert error(machine.token(scope="roles.read")) == (400, "invalid_scope")
    machine.configure(scopes=READ)
    assert machine.token().body["scope"] == "accounts.read"
    machine.configure(scopes=["roles.read"])
    assert error(machine.token()) == (400, "invalid_scope")


def test_resources(served: Served) -> None:
    """RFC 8707: a token for a resource of the client's counts there, and not here."""
    machine = Machine(served, "viewer")
    shop = "https://shop.example/api"
    assert error(machine.token(resource=shop)) == (400, "invalid_target")
    machine.configure(resources=[shop, "https://two.example/"])
    token = machine.token(resource=shop).body["access_token"]
    assert payload(token)["aud"] == shop
    assert not counts(served, token)
    assert machine.introspect(token)["aud"] == shop
    assert served.client.post("/v1/token/validate", {"token": token}).body["valid"] is True
    both = machine.token(resource=[shop, "https://two.example/"])
    assert error(both) == (400, "invalid_target")
    assert error(machine.token(resource=shop + "/x")) == (400, "invalid_target")


def test_the_secret_rotates(served: Served) -> None:
    """The old secret buys tokens during the overlap, and none after it; tokens bought live on."""
    machine = Machine(served)
    path = f"/v1/accounts/{machine.id}/api-keys/{machine.key_id}/rotate"
    token = machine.token().body["access_token"]
    new = served.admin.post(path, {"overlap": 1}).body["key"]
    old, machine.secret = machine.secret, new
    assert machine.token().status == 200
    machine.secret = old
    assert machine.token().status == 200
    time.sleep(1.1)
    assert error(machine.token()) == (401, "invalid_client")
    assert counts(served, token)


def test_the_end_of_a_client(served: Served) -> None:
    """Switched off, its tokens and its secret are refused from the answer on."""
    machine = Machine(served)
    token = machine.token().body["access_token"]
    path = f"/v1/accounts/{machine.id}"
    assert served.admin.patch(path, {"status": "inactive"}).status == 200
    assert not counts(served, token)
    assert error(machine.token()) == (401, "invalid_client")


def test_the_same_request(served: Served) -> None:
    """An Idempotency-Key is the client's own: another client's same request is another."""
    one, two = Machine(served), Machine(served)
    headers = {"Idempotency-Key": "k"}
    first = one.token(headers=headers).body["access_token"]
    assert one.token(headers=headers).body["access_token"] == first
    assert payload(two.token(headers=headers).body["access_token"])["sub"] == two.id


def test_metadata(served: Served) -> None:
    """RFC 8414: what works is listed, and what is listed works; no OpenID provider is claimed."""
    said = served.client.get("/.well-known/oauth-authorization-server").body
    assert said == served.client.get("/.well-known/openid-configuration").body
    assert said["grant_types_supported"] == ["client_credentials", "refresh_token"]
    assert said["response_types_supported"] == []
    assert "authorization_endpoint" not in said
    assert "id_token_signing_alg_values_supported" not in said
    assert set(said["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    }
    base = f"http://{served.client.host}:{served.client.port}"
    for name in ("token", "introspection", "revocation"):
        endpoint = said[f"{name}_endpoint"]
        assert endpoint.startswith(base)
        answer = post(served.client, endpoint.removeprefix(base), "")
        assert answer.status in (400, 401)
        assert "error" in answer.body


def test_the_assertion(served: Served) -> None:
    """What a consumer behind a proxy gets verifies against the JWKS, lives 60 s, is no token."""
    account, person = served.signed_in("viewer")
    answer = person.get("/v1/auth/check")
    assertion = answer.headers["Gatebook-Assertion"]
    header = jwt.get_unverified_header(assertion)
    (key,) = [
        one
        for one in served.client.get("/.well-known/jwks.json").body["keys"]
        if one["kid"] == header["kid"]
    ]
    said = jwt.decode(
        assertion,
        jwt.PyJWK(key),
        algorithms=[key["alg"]],
        audience=issuer(served),
        issuer=issuer(served),
    )
    assert header["typ"] == "gatebook-assertion+jwt"
    assert (said["sub"], said["username"], said["roles"]) == (
        account["id"],
        account["username"],
        ["viewer"],
    )
    assert said["exp"] - said["iat"] == 60
    assert not counts(served, assertion)
    assert served.client.post("/v1/token/validate", {"token": assertion}).body == {"valid": False}
