"""The page of `gatebook audit timeline` in a real Chromium: alone, light and dark, by keyboard."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatebook.store.system import SystemClock
from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment
from tests.browser.webdriver import Browser, chromium
from tests.pages.chrome import Window
from tests.tools.lives import BEGIN, HOSTILE, live

LEFT, RIGHT, TAB = "\ue012", "\ue014", "\ue004"
MARK = "document.querySelectorAll('.mark')[arguments[0]].dispatchEvent(new MouseEvent('click'))"
INK = """
const svg = document.querySelector('svg');
return [...svg.querySelectorAll(arguments[0])].map(one => getComputedStyle(one).fill);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three weeks of a life."""
    now = BEGIN

    def set_clock(at: int) -> None:
        nonlocal now
        now = at

    directory = tmp_path_factory.mktemp("life")
    deployment = Deployment(directory, "sqlite:///gatebook.db", server="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now", lambda _self: now)
        deployment.create()
        live(deployment, set_clock)
        path = directory / "life.html"
        words = ["audit", "timeline", "mara", "--html", str(path)]
        assert gatebook(["--config", str(deployment.config), *words]) == 0
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for this file."""
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def window(browser: Browser, page: Path) -> Iterator[Window]:
    """The page, opened. At its end nothing was loaded, and nothing stands in the console."""
    opened = Window(browser, "file://")
    opened.fresh()
    opened.size(1280)
    opened.open(str(page))
    yield opened
    assert opened._ask("return performance.getEntriesByType('resource').map(one => one.name)") == []
    assert opened.complaints() == []


def detail(window: Window) -> str:
    return str(window._ask("return document.getElementById('detail').innerText"))


def test_it_shows_a_life(window: Window) -> None:
    """Name, states and events are there; a hostile display name is text."""
    assert window.heading() == "mara"
    assert HOSTILE in window.text()
    drawn = window._ask("return document.getElementById('chart').textContent")
    for word in ("Status", "Roles", "auditor", "Locks", "Sessions", "Credentials"):
        assert word in drawn
    assert window._ask("return document.querySelectorAll('.mark').length") > 10
    assert window._ask("return document.querySelectorAll('img, iframe, object').length") == 0


def test_a_click_shows_what_happened(window: Window) -> None:
    """A dot's event, or those that stand too close to tell apart; a bar's begin and end."""
    assert detail(window) == ""
    window._ask(MARK, 0)
    assert "The account was created" in detail(window)
    window._ask("document.querySelector('#detail button').click()")
    assert "account.created" in detail(window)
    assert HOSTILE in detail(window)
    bar = "document.querySelector('.band.inactive').dispatchEvent(new MouseEvent('click'))"
    window._ask(bar)
    assert detail(window).startswith("inactive: 2026-08-0")
    assert "account.deactivated" in detail(window)
    window._ask("document.querySelector('#detail a').click()")
    assert window._ask("return document.querySelector('.event.chosen details').open") is True


def test_by_keyboard(window: Window) -> None:
    """Arrows go from event to event, plus and minus zoom, the list opens by Enter."""
    window._ask("document.getElementById('chart').focus()")
    window.type(RIGHT)
    assert detail(window).startswith("The account was created")
    window.type(RIGHT)
    assert detail(window).startswith("The username was reserved")
    window.type(LEFT)
    assert detail(window).startswith("The account was created")
    before = window._ask("return document.querySelectorAll('.mark').length")
    window.type("+++")
    assert window._ask("return document.querySelectorAll('.mark').length") < before
    window.type("0")
    assert window._ask("return document.querySelectorAll('.mark').length") == before
    window._ask("document.querySelector('summary').focus()")
    window.reveal()
    assert window._ask("return document.querySelector('details').open") is True
    assert window.focus_ring() >= 2


def test_the_list_is_filtered(window: Window) -> None:
    """What is typed into the field is all that is left in the list."""
    window._ask("document.getElementById('search').focus()")
    window.type("role auditor")
    shown = window._ask(
        "return [...document.querySelectorAll('.event')].filter(one => one.checkVisibility())"
        ".map(one => one.querySelector('.what').textContent)"
    )
    assert shown == ["The role auditor was granted.", "The role auditor was revoked."]


def test_without_a_script_the_list_is_all_there(browser: Browser, page: Path) -> None:
    """Whoever runs no script reads every event and opens its details."""
    window = Window(browser, "file://")
    window.fresh()
    window.scripts(on=False)
    try:
        window.open(str(page))
        spoken = window.spoken()
    finally:
        window.scripts(on=True)
    assert "heading mara" in spoken
    assert sum("DisclosureTriangle" in one for one in spoken) > 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_can_be_seen(window: Window, scheme: str, width: int) -> None:
    """No sideways scrolling, enough contrast, targets that can be hit, a picture with colours."""
    window.scheme(scheme)
    window.size(width)
    window._ask("document.querySelectorAll('details')[0].open = true")
    window._ask(MARK, 1)
    assert window.overflow() == 0
    faint = [one for one in window.contrasts() if one["ratio"] < 4.5]
    assert faint == []
    assert [one for one in window.targets() if one["height"] < 24] == []
    fills = window._ask(INK, ".band.active, .band.inactive, .band.role, .band.session")
    assert len(set(fills)) == 4
    picture = base64.b64decode(window.picture())
    assert struct.unpack(">I", picture[16:20])[0] in (width, width - 15)
    assert len(picture) > 10_000


def test_nothing_moves_for_those_who_want_that(window: Window) -> None:
    """With reduced motion the page neither scrolls smoothly nor fades."""
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    window.browser.cdp("Emulation.setEmulatedMedia", features=features)
    style = "return getComputedStyle(document.documentElement).scrollBehavior"
    assert window._ask(style) == "auto"
    assert (
        window._ask("return getComputedStyle(document.querySelector('button')).transitionDuration")
        == "0s"
    )
    window.browser.cdp("Emulation.setEmulatedMedia", features=[])
    assert window._ask(style) == "smooth"
