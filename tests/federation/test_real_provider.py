"""Federation with a provider that nobody here wrote, and a Chromium that does the clicks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain.application.core import local
from gatebook.domain.provider import Configuration
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment, Served
from tests.browser.webdriver import Browser, chromium, free_port
from tests.federation.node_provider import CLIENT_ID, CLIENT_SECRET, NodeProvider, agree
from tests.npm import installed
from tests.pages.chrome import Window

MORE = "[outbound]\nallow_loopback_http = true\n"
NAME = "Example Works"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for this file."""
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


class World:
    """A Gatebook, a provider it is told of, and somebody's window."""

    def __init__(self, served: Served, provider: NodeProvider, window: Window) -> None:
        self.served, self.provider, self.window = served, provider, window

    def sign_in(self, name: str) -> None:
        """By the link on Gatebook's page, through the provider's pages, and back."""
        window = self.window
        window.open("/login?return_to=/login")
        window.press(NAME)
        agree(window, name)
        window.until(lambda: window.heading() == "You are signed in")

    def me(self) -> Any:
        """Who is signed in in the window; None for nobody."""
        self.window.open("/v1/auth/me")
        said = self.window.json()
        return said if "account" in said else None

    def events(self, kind: str) -> list[Any]:
        return self.served.events(f"&type={kind}")


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> Iterator[World]:
    """A Gatebook without a first admin, which knows the provider; the provider is not started."""
    directory = installed(request.config, Path(__file__).parent / "node", "gatebook-provider")
    port = free_port()
    gatebook = f"http://localhost:{port}"
    provider = NodeProvider(directory, free_port(), gatebook, tmp_path / "provider.log")
    deployment = Deployment(
        tmp_path,
        "sqlite:///gatebook.db",
        server=f'public_url = "{gatebook}"\nworkers = 2',
        more=MORE,
    )
    text = deployment.config.read_text().replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"')
    text = text.replace("[bootstrap]\n", '[bootstrap]\nadmin_groups = ["chiefs"]\n')
    deployment.config.write_text(text)
    deployment.create(admin=not hasattr(request, "param"))
    house = open_house(Settings.load(deployment.config, {}))
    try:
        configured = Configuration(
            name=NAME,
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            at_hash_required=False,  # it sends none with a code (Core 1.0, 3.1.3.6: optional)
        )
        view = house.providers.create(local("tester"), configured, CLIENT_SECRET)
        house.providers.map_group(local("tester"), view.provider_id, "staff", "viewer")
    finally:
        house.close()
    window = Window(browser, gatebook)
    window.fresh()
    with deployment.served() as served:
        yield World(served, provider, window)
    deployment.check_log({CLIENT_SECRET})
    assert window.complaints() == []


def test_sign_in_twice_with_other_keys(world: World) -> None:
    """An account with the mapped role; the same one again, though the provider's keys changed."""
    with world.provider.running():
        world.sign_in("alice")
        first = world.me()
        assert first["account"]["username"] == "alice"
        assert first["account"]["email"] == "alice@example.org"
        assert first["account"]["display_name"] == "alice of Example Works"
        assert first["roles"] == ["viewer"]
        assert first["permissions"] == ["accounts.read", "roles.read"]
        assert first["amr"] == ["fed"]

    with world.provider.running():
        assert world.me()["account"] == first["account"]
        world.window.fresh()
        assert world.me() is None
        world.sign_in("alice")
        again = world.me()

    assert again["account"]["id"] == first["account"]["id"]
    assert len(world.events("identity.linked")) == 1
    assert len(world.events("federated_login.completed")) == 2
    assert world.events("federated_login.failed") == []


def test_somebody_without_a_mapped_group(world: World) -> None:
    """Who is in no group that is mapped gets one sentence; so does who cancels."""
    window = world.window
    with world.provider.running():
        window.open("/login")
        window.press(NAME)
        agree(window, "mallory")
        window.until(lambda: window.heading() == "Sign in")
        assert window.alert().startswith("You could not be signed in.")
        assert world.me() is None
        window.fresh()
        window.open("/login")
        window.press(NAME)
        window.until(lambda: window.heading() == "Sign-in")
        window.press("[ Cancel ]")
        window.until(lambda: window.heading() == "Sign in")
        assert window.alert() == "The sign-in was cancelled."
    reasons = [event["data"]["reason"] for event in world.events("federated_login.failed")]
    assert reasons == ["unmapped_groups", "access_denied"]


def test_signed_out_at_the_provider(world: World) -> None:
    """Who signs out there is signed out here, by a logout token with its `sid`."""
    window = world.window
    with world.provider.running():
        world.sign_in("alice")
        assert world.me() is not None
        window.browser.open(f"{world.provider.issuer}/session/end")
        window.press("Yes, sign me out")
        window.until(lambda: "sign-out success" in window.text().lower())
        assert world.me() is None
    [received] = world.events("provider.logout_received")
    assert received["data"]["sessions"] == 1
    causes = [event["data"]["cause"] for event in world.events("session.ended")]
    assert causes == ["provider-logout"]
    assert "back-channel" not in world.provider.log.read_text()


def test_signed_out_here(world: World) -> None:
    """Our button signs out here, then there, and comes back to our page."""
    window = world.window
    with world.provider.running():
        world.sign_in("alice")
        window.press("Sign out")
        window.until(lambda: "Do you want to sign-out from" in window.text())
        assert world.provider.issuer in window.address()
        window.press("Yes, sign me out")
        window.until(lambda: window.heading() == "Sign in")
        assert window.address().startswith(f"{world.provider.gatebook}/login?state=")
        assert world.me() is None
        window.open("/login")
        window.press(NAME)
        window.until(lambda: window.heading() == "Sign-in")  # it asks who he is again
    causes = [event["data"]["cause"] for event in world.events("session.ended")]
    assert causes == ["logout"]


@pytest.mark.parametrize("world", [True], indirect=True, ids=["no admin yet"])
def test_the_first_admin(world: World) -> None:
    """A member of the configured group takes the seat; the next is what his groups make him."""
    with world.provider.running():
        world.sign_in("carol")
        carol = world.me()
        assert carol["roles"] == ["admin", "viewer"]
        world.window.fresh()
        world.sign_in("alice")
        assert world.me()["roles"] == ["viewer"]
        world.window.fresh()
        world.sign_in("carol")
        world.window.open("/v1/audit?limit=500")
        events = world.window.json()["items"]
    seats = [event for event in events if event["type"] == "bootstrap.oidc_first_admin"]
    assert [seat["data"]["account_id"] for seat in seats] == [carol["account"]["id"]]
