"""What a person does in a window of Chromium, and what he sees there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.browser.webdriver import Browser

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

CONTRASTS = """
const parts = text => text.match(/[\\d.]+/g).map(Number);
const light = channel => {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
};
const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
const ground = element => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parts(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const found = [];
for (const element of document.querySelectorAll("main *")) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!(own || element.tagName === "INPUT") || !element.checkVisibility()) continue;
  const [a, b] = [parts(getComputedStyle(element).color), ground(element)].map(luminance);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  found.push({what: element.textContent.trim() || element.name, ratio});
}
return found;
"""
TARGETS = """
return [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")]
  .filter(one => one.checkVisibility())
  .map(one => ({what: one.textContent || one.name, height: one.getBoundingClientRect().height}));
"""


class Window:
    """One window on one site."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.browser, self.origin = browser, origin

    def open(self, path: str) -> None:
        self.browser.open(self.origin + path)

    def fresh(self) -> None:
        """Without cookies, in a wide window, with nothing reported."""
        self.browser.cdp("Network.clearBrowserCookies")
        self.browser.cdp("Emulation.clearDeviceMetricsOverride")
        self.complaints()

    def type(self, keys: str) -> None:
        """Keys, to whatever has the focus. A page that they lead to is waited for."""
        actions: list[dict[str, str]] = []
        held = False
        for key in keys:
            if key == "\ue008":
                actions.append({"type": "keyUp" if held else "keyDown", "value": key})
                held = not held
            else:
                actions += [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        before = self._page()
        self.browser.command("POST", "/actions", body)
        if keys.endswith("\ue007"):
            self.until(lambda: self._page() != before)

    def reveal(self) -> None:
        """Enter, on what opens and closes in the same page."""
        body = [{"type": kind, "value": "\ue007"} for kind in ("keyDown", "keyUp")]
        one = {"type": "key", "id": "keyboard", "actions": body}
        self.browser.command("POST", "/actions", {"actions": [one]})

    def focus(self, name: str) -> None:
        """Puts the focus on a field, as a click does."""
        found = self._find(f"//input[@name='{name}']")
        self.browser.command("POST", f"/element/{found}/click", {})

    def press(self, label: str) -> None:
        """The button or link with this label, by its place on the screen."""
        found = self._find(f"//*[self::button or self::a][normalize-space()='{label}']")
        self.browser.command("POST", f"/element/{found}/click", {})

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if true():
                return
            time.sleep(0.05)
        raise AssertionError(f"it did not come to be; the page says: {self.text()}")

    # --- what is seen

    def text(self) -> str:
        return str(self._ask("return document.body.innerText"))

    def heading(self) -> str:
        return str(self._ask("return document.querySelector('h1')?.innerText || ''"))

    def title(self) -> str:
        return str(self._ask("return document.title"))

    def alert(self) -> str:
        """What is announced now."""
        return str(
            self._ask(
                "return [...document.querySelectorAll('[role=alert]')]"
                ".filter(one => one.checkVisibility()).map(one => one.innerText).join(' ')"
            )
        )

    def value(self, name: str) -> str:
        return str(self._ask("return document.getElementsByName(arguments[0])[0].value", name))

    def focused(self) -> str:
        """The name of the field, or the words on the button, that has the focus."""
        return str(
            self._ask(
                "const one = document.activeElement;"
                "return one.name || one.id || one.textContent.trim()"
            )
        )

    def focus_ring(self) -> float:
        """Its width around what has the focus, in pixels."""
        ring = self._ask("return getComputedStyle(document.activeElement).outlineWidth")
        return float(str(ring).removesuffix("px"))

    def path(self) -> str:
        return str(self._ask("return location.pathname + location.search"))

    def address(self) -> str:
        return str(self._ask("return location.href"))

    def json(self) -> Any:
        """What the browser shows of an answer that is no page."""
        return json.loads(self.text())

    def spoken(self) -> set[str]:
        """What a screen reader is given: the role and the name of each thing."""
        tree = self.browser.cdp("Accessibility.getFullAXTree")["nodes"]
        found = [
            (one["role"]["value"], one.get("name", {}).get("value", ""))
            for one in tree
            if not one["ignored"]
        ]
        told = {"heading", "alert", "textbox", "button", "link", "DisclosureTriangle"}
        return {f"{role} {name}".strip() for role, name in found if role in told}

    def overflow(self) -> int:
        """Pixels that have to be scrolled sideways for."""
        root = "document.documentElement"
        return int(self._ask(f"return {root}.scrollWidth - {root}.clientWidth"))

    def targets(self) -> list[dict[str, Any]]:
        """Everything that can be pressed, with its height in pixels."""
        return list(self._ask(TARGETS))

    def contrasts(self) -> list[dict[str, Any]]:
        """Every text with its contrast against what it stands on (WCAG 2.2, 1.4.3)."""
        return list(self._ask(CONTRASTS))

    def picture(self) -> str:
        """A PNG in base64."""
        return str(self.browser.cdp("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        """What the console holds of our pages: broken policies, scripts that failed."""
        entries = self.browser.command("POST", "/se/log", {"type": "browser"})
        return [
            one["message"]
            for one in entries
            if one["message"].startswith(self.origin)
            and one["level"] != "DEBUG"
            and one["source"] != "network"
        ]

    # --- how it is seen

    def scheme(self, scheme: str) -> None:
        """`light` or `dark`, as the system says."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.cdp("Emulation.setEmulatedMedia", features=features)

    def size(self, width: int, zoom: int = 1) -> None:
        """The width in CSS pixels; a zoom of two is what 200 % makes of twice the width."""
        self.browser.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800 // zoom,
            deviceScaleFactor=zoom,
            mobile=False,
        )

    def scripts(self, *, on: bool) -> None:
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=not on)

    # --- details

    def _ask(self, script: str, *given: Any) -> Any:
        body = {"script": script, "args": list(given)}
        return self.browser.command("POST", "/execute/sync", body)

    def _page(self) -> Any:
        return self._ask("return performance.timeOrigin")

    def _find(self, xpath: str) -> str:
        body = {"using": "xpath", "value": xpath}
        return str(self.browser.command("POST", "/element", body)[ELEMENT])
