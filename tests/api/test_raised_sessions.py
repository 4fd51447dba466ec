"""A session in a browser gets a new id when a second factor is added (ASVS 7.2.4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.browser import SESSION, Browser, signed_in
from tests.api.factors import App
from tests.api.passkeys import REGISTER, relying_party
from tests.api.served import Served
from tests.authenticator import Authenticator


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a relying party."""
    yield from relying_party(request, tmp_path_factory)


def with_codes(browser: Browser) -> None:
    """One-time codes are confirmed."""
    offered = browser.call("POST", "/v1/auth/totp").body
    code = App(offered["secret"]).code()
    assert browser.call("POST", "/v1/auth/totp/confirm", {"code": code}).status == 204


def with_a_passkey(browser: Browser) -> None:
    """A passkey is registered."""
    options = browser.call("POST", f"{REGISTER}/options").body
    body = {"credential": Authenticator().create(options), "name": "x"}
    assert browser.call("POST", f"{REGISTER}/verify", body).status == 201


@pytest.mark.parametrize("add", [with_codes, with_a_passkey])
def test_a_new_id_and_the_old_one_dead(site: Served, add: object) -> None:
    """The browser goes on under its new cookies; whoever had copied the old one is out."""
    _account, browser = signed_in(site)
    copied = Browser(site.client)
    copied.jar = dict(browser.jar)

    add(browser)  # type: ignore[operator] # one of the two above

    assert browser.jar[SESSION] != copied.jar[SESSION]
    assert browser.get("/v1/auth/me").status == 200
    assert browser.call("POST", "/v1/auth/logout").status == 204
    assert copied.get("/v1/auth/me").status == 401


def test_a_bearer_goes_on(site: Served) -> None:
    """Tokens have no id to change: the same token still counts, and no cookie is set."""
    _account, client = site.signed_in()
    offered = client.post("/v1/auth/totp").body
    code = App(offered["secret"]).code()
    answer = client.post("/v1/auth/totp/confirm", {"code": code})
    assert (answer.status, answer.headers.get("Set-Cookie")) == (204, None)
    assert client.get("/v1/auth/me").status == 200
