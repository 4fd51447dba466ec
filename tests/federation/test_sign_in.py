"""A federated sign-in that goes well, and what it leaves behind (E29, E30, E34, E36)."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.served import Served
from tests.federation.browser import Browser, failed_for, failures
from tests.federation.conftest import configure
from tests.federation.hostile import Key, Provider


def test_there_and_back(served: Served, provider: Provider, provider_id: str) -> None:
    """The first sign-in makes an account with the mapped role, and a session in the browser."""
    provider.claims |= {
        "preferred_username": "alice.federated",
        "name": "Alice Åkesson",
        "email": "alice@example.org",
        "email_verified": True,
    }
    browser = Browser(served.client)

    answer = browser.sign_in(provider_id, provider)

    assert (answer.status, answer.headers["Location"]) == (302, "/start")
    me = browser.get("/v1/auth/me").body
    assert me["account"]["username"] == "alice.federated"
    assert me["account"]["display_name"] == "Alice Åkesson"
    assert me["account"]["email"] == "alice@example.org"
    assert me["roles"] == ["viewer"]
    assert me["permissions"] == ["accounts.read", "roles.read"]
    assert me["amr"] == ["fed"]
    assert browser.get("/v1/accounts").status == 200
    assert "gatebook_oidc" not in browser.cookies
    account_id = me["account"]["id"]
    types = [event["type"] for event in served.events(f"&account={account_id}")]
    assert types == [
        "account.created",
        "username.claimed",
        "identity.linked",
        "identity.groups_changed",
        "role.granted",
        "federated_login.completed",
        "login.succeeded",
        "session.opened",
        "session.federated",
    ]
    again = Browser(served.client)
    again.sign_in(provider_id, provider)
    assert again.get("/v1/auth/me").body["account"]["id"] == account_id


def test_what_goes_out(served: Served, provider: Provider, provider_id: str) -> None:
    """E30: PKCE S256, state and nonce of 256 bits, a cookie for ten minutes; all new each time."""
    seen = set()
    for _ in range(12):
        answer = served.client.get(f"/auth/oidc/login?provider={provider_id}")
        sent = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
        assert sent["code_challenge_method"] == "S256"
        assert set(sent["scope"].split()) == {"openid", "profile", "email"}
        for name in ("state", "nonce", "code_challenge"):
            assert re.fullmatch(r"[A-Za-z0-9_-]{43}", sent[name])
            seen.add(sent[name])
        [cookie] = answer.headers.get_all("Set-Cookie")
        assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"} <= set(cookie.split("; "))
        assert sent["nonce"] not in cookie
        assert sent["state"] not in cookie
    assert len(seen) == 36


def test_groups_are_roles(served: Served, provider: Provider, provider_id: str) -> None:
    """E29: a group more is a role more, a group lost is a role lost; what hands gave stays."""
    mapping = {"provider_id": provider_id, "group": "auditors", "role": "auditor"}
    assert served.admin.post("/v1/auth/oidc/group-mappings", mapping).status == 201
    provider.claims |= {"sub": "bob", "groups": ["staff", "auditors", "unknown"]}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    me = browser.get("/v1/auth/me").body
    assert me["roles"] == ["auditor", "viewer"]
    account = f"/v1/accounts/{me['account']['id']}"
    assert served.admin.put(f"{account}/roles/operator").status == 204

    provider.claims["groups"] = ["staff"]
    browser.sign_in(provider_id, provider)
    assert browser.get("/v1/auth/me").body["roles"] == ["operator", "viewer"]
    assert browser.get("/v1/audit").status == 403

    provider.claims["groups"] = []
    assert browser.sign_in(provider_id, provider).headers["Location"] == "/start"
    assert browser.get("/v1/auth/me").body["roles"] == ["operator"]
    sources = {
        event["data"]["source"]
        for event in served.events(f"&type=role.granted&account={me['account']['id']}")
    }
    assert sources == {f"provider:{provider_id}", "hand"}


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["staff"]}}),
        ("https://example.org/groups", {"https://example.org/groups": ["staff"]}),
        ("groups", {"groups": "staff"}),
        ("a.b.c", {"a": {"b": {"c": ["x", "staff"]}}}),
    ],
)
def test_where_groups_are(
    served: Served, provider: Provider, path: str, claims: dict[str, object]
) -> None:
    """E36: a dotted path, a URL as the claim's name, one string."""
    provider_id = configure(served, provider, groups_claim=path)
    provider.claims = {"sub": f"at-{path}", **claims}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    assert browser.get("/v1/auth/me").body["roles"] == ["viewer"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA", "ES256"])
def test_every_usual_algorithm(served: Served, provider: Provider, algorithm: str) -> None:
    """Keys of the kinds that providers use."""
    provider.key = Key(algorithm)
    provider.published = [provider.key]
    if algorithm == "EdDSA":
        provider.claims["at_hash"] = ...  # SHA-512 there; the token endpoint then gives no token
        provider.token_changes = {"access_token": ...}
    browser = Browser(served.client)
    browser.sign_in(configure(served, provider), provider)
    assert browser.signed_in, failures(served)[-1:]


def test_keys_rotate_in_the_middle(served: Served, provider: Provider, provider_id: str) -> None:
    """E34: an unknown kid is asked for once; when the keys cannot be had, old sessions go on."""
    early = Browser(served.client)
    early.sign_in(provider_id, provider)
    assert early.signed_in

    browser = Browser(served.client)
    there = browser.begin(provider_id)
    provider.key = Key()
    provider.published = [provider.key]
    before = provider.asked.count("/jwks")
    browser.get(f"/auth/oidc/callback?{provider.authorize(there)}")
    assert browser.signed_in
    assert provider.asked.count("/jwks") - before <= 2  # one of them when this worker has none yet

    provider.answers["/jwks"] = lambda handler: handler.say(500, {})
    provider.key = Key()
    late = Browser(served.client)
    late.sign_in(provider_id, provider)
    assert not late.signed_in
    assert early.signed_in
    assert failed_for(served, "jwks_unreachable", "unknown_key")


def test_groups_from_userinfo(served: Served, provider: Provider) -> None:
    """Where it is configured, groups that are not in the ID token come from userinfo."""
    provider_id = configure(served, provider, fetch_userinfo=True)
    provider.claims = {"sub": "carol"}
    provider.userinfo = {"sub": "carol", "groups": ["staff"]}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    assert browser.signed_in

    provider.userinfo = {"sub": "mallory", "groups": ["staff"]}
    other = Browser(served.client)
    other.sign_in(provider_id, provider)
    assert not other.signed_in
    assert failed_for(served, "userinfo_sub_mismatch")


def test_nobody_is_found_by_his_name(served: Served, provider: Provider, provider_id: str) -> None:
    """Somebody else's account is not taken over by a name or an address that a provider says."""
    account = served.account("admin")
    provider.claims |= {
        "sub": "impostor",
        "preferred_username": account["username"],
        "email": "impostor@example.org",
        "email_verified": True,
    }
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    me = browser.get("/v1/auth/me").body
    assert me["account"]["id"] != account["id"]
    assert me["account"]["username"] == "impostor"
    assert me["roles"] == ["viewer"]
