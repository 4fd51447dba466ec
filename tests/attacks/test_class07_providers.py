"""Classes 3 and 7 at identity providers: a session that no logout reaches, a claim that is chosen.

Keycloak CVE-2026-9795, CVE-2026-4629 (a delegated administrator's mappers); authentik
CVE-2025-29928 (a session outlives its end).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.factors import App
from tests.api.served import PASSWORD, Deployment, Served
from tests.attacks.test_class07_delegated_admin import role_with
from tests.federation.browser import Browser
from tests.federation.conftest import MORE, configure
from tests.federation.hostile import Provider, running
from tests.federation.test_logout import post as log_out
from tests.federation.test_logout import signed_in

PROVIDERS = "/v1/auth/oidc/providers"
MAPPINGS = "/v1/auth/oidc/group-mappings"


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may reach a provider on loopback."""
    deployment = Deployment(
        tmp_path_factory.mktemp("near"), "sqlite:///gatebook.db", server="workers = 2", more=MORE
    )
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as one:
        yield one


@pytest.mark.parametrize("named", ["sub", "sid"])
def test_a_reissued_session_is_still_the_providers(
    near: Served, provider: Provider, named: str
) -> None:
    """Another session id, after a factor was added, hides nobody from his provider's logout."""
    provider_id = configure(near, provider)
    browser = signed_in(near, provider, provider_id, f"alice-{named}", "her-session")
    before = browser.cookies["gatebook_session"]
    app = App(browser.call("POST", "/v1/auth/totp", {}).body["secret"])
    assert browser.call("POST", "/v1/auth/totp/confirm", {"code": app.code()}).status == 204
    assert browser.cookies["gatebook_session"] != before
    assert browser.signed_in

    told: dict[str, Any] = {"sub": f"alice-{named}"}
    if named == "sid":
        told = {"sid": "her-session"}
    assert log_out(near, provider.logout_token(**told)).status == 200
    assert not browser.signed_in


def test_a_provider_is_no_second_factor(near: Served, provider: Provider) -> None:
    """Who came by a provider that names none removes no one-time codes with the password alone."""
    provider_id = configure(near, provider)
    first = signed_in(near, provider, provider_id, "claire")
    app = App(first.call("POST", "/v1/auth/totp", {}).body["secret"])
    assert first.call("POST", "/v1/auth/totp/confirm", {"code": app.code()}).status == 204
    account_id = first.get("/v1/auth/me").body["account"]["id"]
    path = f"/v1/accounts/{account_id}/password"
    assert near.admin.put(path, {"password": PASSWORD}).status == 204

    thief = signed_in(near, provider, provider_id, "claire")
    assert thief.get("/v1/auth/me").body["acr"] == "aal1"
    assert thief.call("POST", "/v1/auth/totp", {}).status == 403
    assert thief.call("POST", "/v1/auth/recovery-codes", {}).status == 403
    assert thief.call("DELETE", "/v1/auth/totp", {"password": PASSWORD}).status == 403
    assert thief.call("DELETE", "/v1/auth/totp", {"code": app.code()}).status == 204


def test_who_chooses_the_claim_chooses_the_role(near: Served, provider: Provider) -> None:
    """Configuring providers gives nothing that the one who configures does not hold."""
    provider_id = configure(near, provider)
    mapping = {"provider_id": provider_id, "group": "root", "role": "admin"}
    mapped = near.admin.post(MAPPINGS, mapping)
    assert mapped.status == 201
    smith = role_with(near, "provider-smith", "oidc.read", "oidc.write")
    _, mallory = near.signed_in(smith)
    path = f"{PROVIDERS}/{provider_id}"

    for believed in (
        {"groups_claim": "nickname"},
        {"client_id": "mallorys-own"},
        {"fetch_userinfo": True},
        {"allowed_domains": ["mallory.example"]},
        {"enabled": False},
    ):
        assert mallory.patch(path, believed).status == 403, believed
    assert mallory.delete(mapped.headers["Location"]).status == 403
    assert mallory.patch(path, {"name": "Renamed"}).status == 200
    provider.claims = {"sub": "mallory", "groups": ["staff"], "nickname": "root"}
    browser = Browser(near.client)
    browser.sign_in(provider_id, provider)
    assert browser.get("/v1/auth/me").body["roles"] == ["viewer"]
    assert near.admin.patch(path, {"groups_claim": "nickname"}).status == 200
