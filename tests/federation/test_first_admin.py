"""The first administrator by federation (E42): once, for one, however many race."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain.application.core import local
from gatebook.domain.provider import Configuration
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.served import (
    ADMIN,
    ADMIN_PASSWORD,
    BOOTSTRAP_TOKEN,
    Deployment,
    Served,
)
from tests.federation.browser import Browser
from tests.federation.conftest import MORE, STORES, url_of
from tests.federation.hostile import CLIENT_ID, CLIENT_SECRET, Provider

SERVER = "workers = 2\nthreads = 72"
"""All fifty may wait for the provider at once, on one worker if it comes to that."""

RACERS = 50


@contextmanager
def empty(
    directory: Path, url: str, provider: Provider, rule: str = ""
) -> Iterator[tuple[Served, str]]:
    """A server without any admin, that knows one provider: configured on the machine itself."""
    directory.mkdir(exist_ok=True)
    more = MORE.replace('timeout = "2s"', 'timeout = "10s"')
    deployment = Deployment(directory, url, server=SERVER, more=more)
    text = deployment.config.read_text()
    text = text.replace("[bootstrap]\n", f'[bootstrap]\nadmin_groups = ["chiefs"]\n{rule}\n')
    deployment.config.write_text(text)
    deployment.create(admin=False)
    house = open_house(Settings.load(deployment.config, {}))
    try:
        house.prepare()
        configured = Configuration(name="Ours", issuer=provider.issuer, client_id=CLIENT_ID)
        view = house.providers.create(local("tester"), configured, CLIENT_SECRET)
        house.providers.map_group(local("tester"), view.provider_id, "staff", "viewer")
    finally:
        house.close()
    with deployment.served() as served:
        yield served, str(view.provider_id)


def me(browser: Browser) -> Any:
    return browser.get("/v1/auth/me").body


@pytest.mark.parametrize("store", STORES)
def test_fifty_members_race(
    request: pytest.FixtureRequest, tmp_path: Path, provider: Provider, store: str
) -> None:
    """One of fifty becomes admin, by one event; the others are what their groups make them."""
    request.param = store
    with empty(tmp_path, url_of(request), provider) as (served, provider_id):
        browsers = [Browser(served.client) for _ in range(RACERS)]
        queries = []
        for number, browser in enumerate(browsers):
            query = provider.authorize(browser.begin(provider_id))
            queries.append((browser, query, f"member-{number}"))
        subjects = {q.partition("code=")[2].partition("&")[0]: sub for _, q, sub in queries}
        _by_code(provider, subjects)

        with ThreadPoolExecutor(RACERS) as pool:
            answers = list(
                pool.map(lambda one: one[0].get(f"/auth/oidc/callback?{one[1]}"), queries)
            )

        assert Counter(answer.status for answer in answers) == {302: RACERS}
        kinds = Counter(tuple(me(browser)["roles"]) for browser in browsers if browser.signed_in)
        assert kinds[("admin", "viewer")] == 1
        [chief] = [b for b in browsers if b.signed_in and "admin" in me(b)["roles"]]
        failed = Counter(
            event["data"]["reason"]
            for event in chief.get("/v1/audit?type=federated_login.failed&limit=500").body["items"]
        )
        assert kinds[("viewer",)] == RACERS - 1, failed
        found = chief.get("/v1/audit?type=bootstrap.oidc_first_admin").body["items"]
        assert len(found) == 1
        assert found[0]["category"] == "auth"
        assert found[0]["account_id"] == me(chief)["account"]["id"]
        boot = {"token": BOOTSTRAP_TOKEN, "username": "late", "password": ADMIN_PASSWORD}
        assert served.client.post("/v1/bootstrap", boot).status == 410


def _by_code(provider: Provider, subjects: dict[str, str]) -> None:
    """Each code is redeemed for a subject of its own, all of them chiefs."""

    def sign(claims: dict[str, Any]) -> str:
        groups = ["staff", "chiefs"]
        return provider.key.sign({**claims, "sub": subjects[claims["code"]], "groups": groups})

    provider.sign = sign


def test_who_does_not(tmp_path: Path, provider: Provider) -> None:
    """Not a member of the group; not after an admin came another way; not by another provider."""
    with empty(tmp_path / "a", "sqlite:///gatebook.db", provider) as (served, provider_id):
        browser = Browser(served.client)
        provider.claims = {"sub": "plain", "groups": ["staff"]}
        browser.sign_in(provider_id, provider)
        assert me(browser)["roles"] == ["viewer"]

        provider.claims = {"sub": "only-chief", "groups": ["chiefs"]}
        chief = Browser(served.client)
        chief.sign_in(provider_id, provider)
        assert me(chief)["roles"] == ["admin"], "before the refusal of an empty mapping"

        provider.claims = {"sub": "second", "groups": ["chiefs", "staff"]}
        second = Browser(served.client)
        second.sign_in(provider_id, provider)
        assert me(second)["roles"] == ["viewer"], "an admin exists: the normal mapping, in silence"

        provider.claims = {"sub": "third", "groups": ["chiefs"]}
        third = Browser(served.client)
        third.sign_in(provider_id, provider)
        assert not third.signed_in


def test_an_admin_by_token_ends_it(tmp_path: Path, provider: Provider) -> None:
    """Whichever way comes first ends the others."""
    with empty(tmp_path, "sqlite:///gatebook.db", provider) as (served, provider_id):
        boot = {"token": BOOTSTRAP_TOKEN, "username": ADMIN, "password": ADMIN_PASSWORD}
        assert served.client.post("/v1/bootstrap", boot).status == 201
        provider.claims = {"sub": "chief", "groups": ["chiefs", "staff"]}
        browser = Browser(served.client)
        browser.sign_in(provider_id, provider)
        assert me(browser)["roles"] == ["viewer"]


@pytest.mark.parametrize(("named", "expected"), [("Ours", ["admin"]), ("Other", [])])
def test_the_provider_that_is_named(
    tmp_path: Path, provider: Provider, named: str, expected: list[str]
) -> None:
    """With oidc_provider set, only that provider's groups count."""
    rule = f'oidc_provider = "{named}"'
    with empty(tmp_path, "sqlite:///gatebook.db", provider, rule) as (served, provider_id):
        provider.claims = {"sub": "chief", "groups": ["chiefs"]}
        browser = Browser(served.client)
        browser.sign_in(provider_id, provider)
        assert browser.signed_in == bool(expected)
        if expected:
            assert me(browser)["roles"] == expected
