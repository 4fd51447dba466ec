"""Signing out: here, and at the provider that vouched (RP-Initiated Logout 1.0)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.browser import cookies_of
from tests.api.served import Served
from tests.federation.conftest import configure
from tests.federation.hostile import CLIENT_ID, Provider
from tests.pages.visitor import Page, Visitor


def federated(served: Served, visitor: Visitor, provider: Provider, name: str) -> Page:
    """Signed in with the provider by its link on the page: the page that says so."""
    configure(served, provider, name=name)
    out = visitor.open("/login?return_to=/login").links[name]
    there = visitor.browser.get(out).headers["Location"]
    back = visitor.browser.get(f"/auth/oidc/callback?{provider.authorize(there)}")
    assert back.headers["Location"] == "/login"
    return visitor.open()


def sign_out(visitor: Visitor, page: Page) -> str:
    answer = visitor.fill(page, "/logout")
    assert answer.status == 303, answer.raw
    for name in ("gatebook_session", "gatebook_csrf"):
        assert cookies_of(answer)[name]["max-age"] == "0"
    return str(answer.headers["Location"])


def test_here(served: Served, visitor: Visitor) -> None:
    """The session is over at once, for a copy of its cookie too."""
    account = served.account()
    visitor.sign_in(account["username"])
    copy = dict(visitor.jar)
    assert sign_out(visitor, visitor.open()) == "/login"
    assert not visitor.signed_in
    visitor.jar.update(copy)
    assert not visitor.signed_in
    [ended] = served.events(f"&account={account['id']}&type=session.ended")
    assert ended["data"]["cause"] == "logout"
    assert visitor.open().heading == "Sign in"
    stale = visitor.send("/logout", {"form_token": visitor.open().forms["/login"]["form_token"]})
    assert (stale.status, stale.headers["Location"]) == (303, "/login")


def test_at_the_provider(served: Served, visitor: Visitor, provider: Provider) -> None:
    """Its end_session_endpoint, with who we are, where to come back to, and a fresh state."""
    provider.metadata_changes["end_session_endpoint"] = f"{provider.issuer}/end?tenant=1"
    page = federated(served, visitor, provider, "With an end")
    assert "form-action 'self' https: http:" in page.headers["Content-Security-Policy"]

    there = urlsplit(sign_out(visitor, page))

    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{provider.issuer}/end"
    query = {name: values[0] for name, values in parse_qs(there.query).items()}
    state = query.pop("state")
    assert query == {
        "tenant": "1",
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": f"http://localhost:{served.client.port}/login",
    }
    assert len(state) >= 22
    assert not visitor.signed_in
    assert visitor.open(f"/login?state={state}").heading == "Sign in"


@pytest.mark.parametrize("endpoint", [None, "https://10.0.0.1/end", "javascript:alert(1)"])
def test_no_place_to_go(
    served: Served, visitor: Visitor, provider: Provider, endpoint: str | None
) -> None:
    """A provider without such a place, or with one that is not to be reached: our own page."""
    provider.metadata_changes["end_session_endpoint"] = endpoint
    page = federated(served, visitor, provider, f"End {endpoint}")
    assert sign_out(visitor, page) == "/login"
    assert not visitor.signed_in


def test_a_provider_that_is_away(served: Served, visitor: Visitor, provider: Provider) -> None:
    """The session here ends all the same."""
    page = federated(served, visitor, provider, "Away")
    listed = served.admin.get("/v1/auth/oidc/providers?limit=500").body["items"]
    [provider_id] = [one["id"] for one in listed if one["name"] == "Away"]
    provider.metadata_changes["end_session_endpoint"] = f"{provider.issuer}/end"
    change = {"client_id": "another"}  # whatever a worker remembers is asked for anew
    url = f"/v1/auth/oidc/providers/{provider_id}"
    assert served.admin.patch(url, change).status == 200
    provider.answers["/.well-known/openid-configuration"] = lambda h: h.say(500, {})
    assert sign_out(visitor, page) == "/login"
    assert not visitor.signed_in


def test_providers_that_are_switched_off(
    served: Served, visitor: Visitor, provider: Provider
) -> None:
    """They are not on the page."""
    configure(served, provider, name="Off", enabled=False)
    assert "Off" not in visitor.open().links
