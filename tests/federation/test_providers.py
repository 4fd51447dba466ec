"""Providers and mappings as an administrator sees them (E35, E38 to E40)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.served import Deployment, Served
from tests.federation.browser import Browser
from tests.federation.conftest import configure
from tests.federation.hostile import CLIENT_ID, CLIENT_SECRET, Provider

PROVIDERS = "/v1/auth/oidc/providers"
MAPPINGS = "/v1/auth/oidc/group-mappings"


def body_of(provider: Provider, **changes: Any) -> dict[str, Any]:
    """A provider as it would be configured."""
    return {
        "name": "Example",
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        **changes,
    }


def test_configured_shown_changed_removed(served: Served, provider: Provider) -> None:
    """A provider's life; the secret is never shown, and the mappings go first."""
    created = served.admin.post(PROVIDERS, body_of(provider))
    assert created.status == 201
    path = created.headers["Location"]
    shown = served.admin.get(path)
    assert CLIENT_SECRET not in shown.raw.decode() + created.raw.decode()
    assert shown.body["redirect_uri"].endswith("/auth/oidc/callback")
    assert shown.headers["ETag"] == '"1"'
    changed = served.admin.patch(path, {"name": "Other"}, headers={"If-Match": '"1"'})
    assert (changed.status, changed.body["name"]) == (200, "Other")
    assert served.admin.patch(path, {"name": "X"}, headers={"If-Match": '"1"'}).status == 412
    listed = served.admin.get(PROVIDERS + "?limit=500").body["items"]
    assert created.body["id"] in [one["id"] for one in listed]

    mapping = {"provider_id": created.body["id"], "group": "g", "role": "viewer"}
    mapped = served.admin.post(MAPPINGS, mapping)
    assert mapped.status == 201
    assert served.admin.post(MAPPINGS, mapping).status == 409
    assert served.admin.delete(path).status == 409
    assert served.admin.delete(mapped.headers["Location"]).status == 204
    assert served.admin.delete(mapped.headers["Location"]).status == 404
    assert served.admin.delete(path).status == 204
    assert served.admin.get(path).status == 404
    assert served.admin.delete(path).status == 404


def test_accounts_hold_a_provider(served: Served, provider: Provider, provider_id: str) -> None:
    """A provider with linked accounts is not removed."""
    Browser(served.client).sign_in(provider_id, provider)
    for one in served.admin.get(MAPPINGS + "?limit=500").body["items"]:
        if one["provider_id"] == provider_id:
            assert served.admin.delete(f"{MAPPINGS}/{one['id']}").status == 204
    answer = served.admin.delete(f"{PROVIDERS}/{provider_id}")
    assert answer.status == 409
    assert "linked" in answer.body["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"issuer": "not a url"},
        {"issuer": "https://x.example/?q"},
        {"client_id": ""},
        {"client_secret": ""},
        {"client_auth": "none"},
        {"scopes": ["email"]},
        {"scopes": ["openid", "two words"]},
        {"groups_claim": "a..b"},
        {"allowed_domains": ["Example.org"]},
        {"allowed_domains": ["*.example.org"]},
        {"iat_window": 0},
        {"iat_window": 601},
        {"iat_window": True},
        {"unknown": 1},
    ],
)
def test_configurations_that_are_none(
    served: Served, provider: Provider, changes: dict[str, Any]
) -> None:
    """What can never work is a 400, and nothing is kept."""
    before = served.head()
    assert served.admin.post(PROVIDERS, body_of(provider, **changes)).status == 400
    assert served.head() == before


def test_the_issuer_stays(served: Served, provider: Provider, provider_id: str) -> None:
    """Identities are linked to the issuer: it is not among what can be changed."""
    path = f"{PROVIDERS}/{provider_id}"
    assert served.admin.patch(path, {"issuer": "https://evil.example"}).status == 400


def test_who_may(served: Served, provider: Provider, provider_id: str) -> None:
    """Reading needs oidc.read, changing oidc.write; nobody maps a group beyond himself."""
    _, auditor = served.signed_in("auditor")
    _, operator = served.signed_in("operator")
    assert auditor.get(PROVIDERS).status == 200
    assert auditor.post(PROVIDERS, body_of(provider)).status == 403
    assert operator.get(PROVIDERS).status == 403
    role = {"permissions": ["oidc.write", "oidc.read"], "description": "Federation."}
    assert served.admin.put("/v1/roles/federator", role).status in (200, 201)
    _, federator = served.signed_in("federator")
    beyond = {"provider_id": provider_id, "group": "g", "role": "admin"}
    assert federator.post(MAPPINGS, beyond).status == 403


def test_an_edit_counts_at_once(served: Served, provider: Provider, provider_id: str) -> None:
    """E40: another secret or claim, or switched off: from the next sign-in on, everywhere."""
    path = f"{PROVIDERS}/{provider_id}"
    Browser(served.client).sign_in(provider_id, provider)
    for claim, groups in (("roles", "staff"), ("groups", "staff")):
        assert served.admin.patch(path, {"groups_claim": claim}).status == 200
        provider.claims = {"sub": "edited", claim: groups}
        for _ in range(4):
            browser = Browser(served.client)
            browser.sign_in(provider_id, provider)
            assert browser.signed_in
    assert served.admin.patch(path, {"client_secret": "another one"}).status == 200
    for _ in range(4):
        browser = Browser(served.client)
        browser.sign_in(provider_id, provider)
        assert not browser.signed_in
    assert served.admin.patch(path, {"enabled": False}).status == 200
    for _ in range(4):
        assert served.client.get(f"/auth/oidc/login?provider={provider_id}").status == 403


def test_switched_off_in_the_middle(served: Served, provider: Provider, provider_id: str) -> None:
    """A sign-in that was begun before does not end after."""
    browser = Browser(served.client)
    query = provider.authorize(browser.begin(provider_id))
    path = f"{PROVIDERS}/{provider_id}"
    assert served.admin.patch(path, {"enabled": False}).status == 200
    browser.get(f"/auth/oidc/callback?{query}")
    assert not browser.signed_in


def test_a_dry_run_keeps_nothing(served: Served, provider: Provider) -> None:
    """E39: each step is told, and no event is appended."""
    before = served.head()
    answer = served.admin.post(f"{PROVIDERS}/test", body_of(provider))
    assert answer.status == 200
    assert answer.body["ok"], answer.body
    steps = [step["step"] for step in answer.body["steps"]]
    assert steps[:3] == ["discovery", "algorithms", "keys"]
    assert "/token" not in provider.asked
    provider.metadata_changes = {"jwks_uri": "https://169.254.169.254/keys"}
    failed = served.admin.post(f"{PROVIDERS}/test", body_of(provider)).body
    assert not failed["ok"]
    assert failed["steps"][-1]["step"] == "jwks_unreachable"
    assert "link-local" in failed["steps"][-1]["detail"]
    assert served.head() == before


def test_algorithms(served: Served, provider: Provider) -> None:
    """E35: a provider that signs with HS* alone is refused; beside a good one it is a remark."""
    provider.metadata_changes = {"id_token_signing_alg_values_supported": ["HS256", "none"]}
    weak = served.admin.post(f"{PROVIDERS}/test", body_of(provider)).body
    assert (weak["ok"], weak["steps"][-1]["step"]) == (False, "alg_rejected")
    provider.metadata_changes = {"id_token_signing_alg_values_supported": ["ES256", "HS256"]}
    both = served.admin.post(f"{PROVIDERS}/test", body_of(provider)).body
    assert both["ok"]
    assert "HS256" in json_of(both)


def json_of(body: Any) -> str:
    """All that was said."""
    return str(body)


def test_refresh(served: Served, provider: Provider, provider_id: str) -> None:
    """What the provider publishes now, or why it cannot be used."""
    path = f"{PROVIDERS}/{provider_id}/refresh"
    answer = served.admin.post(path)
    assert (answer.status, answer.body["keys"]) == (200, [provider.key.kid])
    provider.metadata_changes = {"issuer": "https://other.example"}
    refused = served.admin.post(path)
    assert refused.status == 400
    assert refused.body["type"].endswith("provider-unusable")


@pytest.mark.parametrize(
    "issuer",
    [
        "https://127.0.0.1:9/",
        "https://[::1]/",
        "https://169.254.169.254",
        "https://[fd00:ec2::254]",
        "https://10.0.0.1",
        "https://100.64.0.1",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:10.0.0.1]",
        "https://localhost",
        "http://example.org",
    ],
)
def test_no_request_into_the_house(strict: Served, issuer: str) -> None:
    """E38: at saving, at trying out, and at sign-in, no private address is asked."""
    body = {
        "name": "In the house",
        "issuer": issuer,
        "client_id": "c",
        "client_secret": "s",
    }
    answer = strict.admin.post(PROVIDERS, body)
    assert answer.status == 400, answer.raw
    said = strict.admin.post(f"{PROVIDERS}/test", body)
    assert said.status == 400 or not said.body["ok"]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server as it is by default: no loopback, no private network."""
    deployment = Deployment(
        tmp_path_factory.mktemp("strict"), "sqlite:///gatebook.db", server="workers = 1"
    )
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.mark.parametrize("leg", ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"])
def test_a_leg_that_leads_into_the_house(served: Served, provider: Provider, leg: str) -> None:
    """E38: metadata that points at a link-local address ends the sign-in at that leg."""
    provider_id = configure(served, provider, fetch_userinfo=True)
    provider.claims = {"sub": "leg"}
    provider.metadata_changes = {leg: "https://169.254.169.254/latest"}
    browser = Browser(served.client)
    answer = served.client.get(f"/auth/oidc/login?provider={provider_id}")
    if leg == "authorization_endpoint":
        assert answer.headers["Location"] == "/login?error=sign-in-failed"
        return
    assert browser.sign_in(provider_id, provider).headers["Location"].startswith("/login?error")
    assert not browser.signed_in
