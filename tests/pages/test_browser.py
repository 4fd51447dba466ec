"""The pages in a real Chromium: by keyboard, without a script, with a passkey, light and dark."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.factors import with_totp
from tests.api.served import PASSWORD, Served
from tests.browser.test_passkeys import Page as Script
from tests.browser.webdriver import Browser, Device, chromium
from tests.federation.conftest import configure
from tests.federation.hostile import Provider
from tests.pages.chrome import Window

TAB, ENTER, SHIFT = "\ue004", "\ue007", "\ue008"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for this file."""
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def window(browser: Browser, served: Served) -> Iterator[Window]:
    """A window without cookies. Nothing was reported against any page's policy, at its end."""
    opened = Window(browser, f"http://localhost:{served.client.port}")
    opened.fresh()
    yield opened
    assert opened.complaints() == []


def test_by_keyboard_alone(served: Served, window: Window) -> None:
    """The name's field has the focus; Tab, Tab and Enter do the rest, and the button signs out."""
    account = served.account()
    window.open("/login?return_to=/login")
    assert window.focused() == "username"
    window.type(account["username"] + TAB)
    assert window.focused() == "password"
    window.type(PASSWORD + TAB)
    assert window.focused() == "Sign in"
    assert window.focus_ring() >= 2
    window.type(SHIFT + TAB + SHIFT + ENTER)
    assert window.heading() == "You are signed in"
    assert account["username"] in window.text()
    window.type(TAB)
    assert window.focused() == "Sign out"
    window.type(ENTER)
    assert window.heading() == "Sign in"


def test_a_wrong_password(served: Served, window: Window) -> None:
    """The sentence is announced, the name stays, the focus is where one goes on."""
    account = served.account()
    window.open("/login")
    window.type(account["username"] + TAB + "not the password" + ENTER)
    assert window.alert() == "The username or the password is wrong."
    assert window.value("username") == account["username"]
    assert window.focused() == "password"
    window.type(PASSWORD + ENTER)
    assert window.heading() == "You are signed in"


def test_a_second_factor(served: Served, window: Window) -> None:
    """A code after the password; the recovery code's field opens by keyboard."""
    account, client, app = with_totp(served)
    codes = client.post("/v1/auth/recovery-codes").body["codes"]
    window.open("/login")
    window.type(account["username"] + TAB + PASSWORD + ENTER)
    assert window.heading() == "One more step"
    assert window.focused() == "totp_code"
    window.type(app.wrong() + ENTER)
    assert "does not count" in window.alert()
    window.type(app.code() + ENTER)
    assert window.heading() == "You are signed in"

    window.fresh()
    window.open("/login")
    window.type(account["username"] + TAB + PASSWORD + ENTER)
    window.type(TAB)
    assert window.focused() == "Use a recovery code instead"
    window.reveal()
    window.type(TAB)
    assert window.focused() == "recovery_code"
    window.type(codes[0] + ENTER)
    assert window.heading() == "You are signed in"


def test_what_a_screen_reader_is_given(served: Served, window: Window) -> None:
    """Every field and button has its name, and a refusal is an alert that the field points to."""
    account, client, _ = with_totp(served)
    client.post("/v1/auth/recovery-codes")
    window.open("/login")
    fields = {"textbox Username", "textbox Password", "button Sign in"}
    whole = {"heading Sign in", *fields, "button Sign in with a passkey"}
    assert window.spoken() == whole
    window.type(account["username"] + TAB + "not the password" + ENTER)
    assert window.spoken() == whole | {"alert"}
    assert window.title() == "Error: Sign in · Gatebook"
    window.type(PASSWORD + ENTER)
    assert window.spoken() == {
        "heading One more step",
        "textbox Code from your authenticator app",
        "DisclosureTriangle Use a recovery code instead",
        "button Continue",
        "link Start again",
    }


@pytest.fixture
def device(browser: Browser, window: Window) -> Iterator[Device]:
    """A virtual authenticator that verifies its user."""
    window.open("/login")
    made = Device(browser)
    yield made
    made.remove()


def with_passkey(served: Served, window: Window) -> tuple[Any, str]:
    """A fresh account whose passkey the browser holds."""
    account = served.account()
    token = served.token(account["username"])
    status, made = Script(window.browser, window.origin).register(token, "chromium")
    assert status == 201, made
    return account, token


def test_a_passkey(served: Served, window: Window, device: Device) -> None:
    """The button signs in and leads on; alone, and as the second step."""
    account, _ = with_passkey(served, window)
    window.open("/login?return_to=/login%3Freturn_to=/start")
    window.press("Sign in with a passkey")
    window.until(lambda: window.heading() == "You are signed in")
    assert account["username"] in window.text()
    assert window.path() == "/login?return_to=/start"

    window.fresh()
    window.open("/login")
    window.type(account["username"] + TAB + PASSWORD + ENTER)
    assert window.heading() == "One more step"
    window.press("Use a passkey")
    window.until(lambda: window.heading() == "You are signed in")


def test_a_passkey_that_is_refused(served: Served, window: Window, device: Device) -> None:
    """The page says so, and the button can be pressed again."""
    with_passkey(served, window)
    device.set("setResponseOverrideBits", isBogusSignature=True)
    window.open("/login")
    window.press("Sign in with a passkey")
    window.until(lambda: window.alert() != "")
    assert window.alert() == "This passkey did not sign you in. Try another way."
    device.set("setResponseOverrideBits", isBogusSignature=False)
    window.complaints()  # the browser reports the 401 that was wanted here
    window.press("Sign in with a passkey")
    window.until(lambda: window.heading() == "You are signed in")


def test_without_a_script(served: Served, window: Window) -> None:
    """Password, code and sign-out work, and no button stands there that would do nothing."""
    account, _, app = with_totp(served)
    window.scripts(on=False)
    try:
        window.open("/login")
        assert "passkey" not in window.text()
        window.type(account["username"] + TAB + PASSWORD + ENTER)
        assert window.heading() == "One more step"
        window.type(app.code() + ENTER)
        assert window.heading() == "You are signed in"
        window.press("Sign out")
        window.until(lambda: window.heading() == "Sign in")
    finally:
        window.scripts(on=True)


def test_a_passkey_without_a_script(served: Served, window: Window, device: Device) -> None:
    """Whose only second step is a passkey is told what it needs."""
    account, _ = with_passkey(served, window)
    window.scripts(on=False)
    try:
        window.open("/login")
        window.type(account["username"] + TAB + PASSWORD + ENTER)
        assert window.heading() == "One more step"
        assert "a passkey, which needs JavaScript" in window.text()
        window.press("Start again")
        window.until(lambda: window.heading() == "Sign in")
    finally:
        window.scripts(on=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_it_looks(
    served: Served, window: Window, provider: Provider, tmp_path: Path, scheme: str
) -> None:
    """Contrast, targets and width of every page, as they are drawn; a picture of each is kept."""
    name = f"Example Works ({scheme})"
    configure(served, provider, name=name)
    account, client, _ = with_totp(served)
    client.post("/v1/auth/recovery-codes")
    window.scheme(scheme)

    def judged(page: str) -> None:
        for width, zoom in ((1280, 1), (640, 2), (320, 1)):
            window.size(width, zoom)
            assert window.overflow() <= 0, (page, width)
            picture = base64.b64decode(window.picture())
            (tmp_path / f"{page}-{scheme}-{width}.png").write_bytes(picture)
            assert struct.unpack(">I", picture[16:20])[0] == width * zoom
        assert [one for one in window.targets() if one["height"] < 44] == []
        assert [one for one in window.contrasts() if one["ratio"] < 4.5] == []

    window.open("/login")
    judged("login")
    window.open("/login?error=cancelled")
    judged("cancelled")
    window.type(account["username"] + TAB + "not the password" + ENTER)
    judged("wrong")
    window.type(PASSWORD + ENTER)
    assert window.heading() == "One more step"
    judged("code")
    window.type(TAB)
    window.reveal()
    judged("recovery")
    window.fresh()
    window.open("/login?return_to=//")
    judged("refused")
    person = served.account()
    window.open("/login?return_to=/login%3Freturn_to=/start")
    window.type(person["username"] + TAB + PASSWORD + ENTER)
    assert window.heading() == "You are signed in"
    judged("signed-in")
    served.admin.patch(f"/v1/auth/oidc/providers/{_id_of(served, name)}", {"enabled": False})


def _id_of(served: Served, name: str) -> str:
    listed = served.admin.get("/v1/auth/oidc/providers?limit=500").body["items"]
    return next(str(one["id"]) for one in listed if one["name"] == name)
