"""A browser without scripts: it keeps cookies, reads a page's forms, and sends them filled in."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from tests.api.browser import Browser, cookies_of
from tests.api.served import PASSWORD, Answer, Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Page(HTMLParser):
    """What a page shows: its forms by action, links, alerts, labels, text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.status, self.headers = answer.status, answer.headers
        self.html = answer.raw.decode()
        self.forms: dict[str, dict[str, str]] = {}
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.links: dict[str, str] = {}
        self.alerts: list[str] = []
        self.heading = ""
        self._action = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "form":
            self._action = given["action"] or ""
            self.forms[self._action] = {}
        if tag == "input":
            name = given["name"] or ""
            self.inputs[name] = given
            self.forms[self._action][name] = given.get("value") or ""
        if tag not in ("meta", "link", "input"):
            self._open.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._open or not data.strip():
            return
        tag, given = self._open[-1]
        if tag == "a":
            self.links[data.strip()] = given["href"] or ""
        if given.get("role") == "alert":
            self.alerts.append(data.strip())
        if tag == "h1":
            self.heading = data.strip()


class Visitor:
    """One person's browser."""

    def __init__(self, client: Client, headers: dict[str, str] | None = None) -> None:
        self.browser = Browser(client, headers)

    @property
    def jar(self) -> dict[str, str]:
        return self.browser.jar

    def open(self, path: str = "/login", **more: Any) -> Page:
        return Page(self.browser.get(path, **more))

    def send(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        raw = urlencode(form).encode()
        return self.browser.call("POST", path, csrf=False, headers=FORM | headers, raw=raw)

    def fill(self, page: Page, action: str, **fields: str) -> Answer:
        """Sends one of the page's forms with these fields filled in."""
        return self.send(action, page.forms[action] | fields)

    def sign_in(self, username: str, password: str = PASSWORD, query: str = "") -> Answer:
        page = self.open(f"/login{query}")
        return self.fill(page, "/login", username=username, password=password)

    @property
    def signed_in(self) -> bool:
        return self.browser.get("/v1/auth/me").status == 200


__all__ = ["FORM", "Page", "Visitor", "cookies_of"]
