"""A browser as far as cookies go: it keeps what it is given and sends it back."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

from tests.api.served import PASSWORD, Answer, Client, Served

SESSION = "gatebook_session"
CSRF = "gatebook_csrf"
DEVICE = "gatebook_device"


def cookies_of(answer: Answer) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets, by name."""
    found: dict[str, Morsel[str]] = {}
    for line in answer.headers.get_all("Set-Cookie") or []:
        found.update(SimpleCookie(line))
    return found


class Browser:
    """Calls with its cookies, and with the CSRF token where one is due."""

    def __init__(self, client: Client, headers: dict[str, str] | None = None) -> None:
        self.client = client.with_token(None)
        self.jar: dict[str, str] = {}
        self.headers = headers or {}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        csrf: bool = True,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        sent = self.headers | (headers or {})
        if self.jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if csrf and CSRF in self.jar:
            sent.setdefault("X-CSRF-Token", self.jar[CSRF])
        answer = self.client.call(method, path, body, headers=sent, raw=raw)
        for name, morsel in cookies_of(answer).items():
            if morsel["max-age"] == "0":
                self.jar.pop(name, None)
            else:
                self.jar[name] = morsel.value
        return answer

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def login(self, username: str, password: str = PASSWORD) -> Answer:
        body = {"username": username, "password": password}
        return self.call("POST", "/v1/auth/login?session=cookie", body, csrf=False)

    @property
    def session(self) -> str:
        """The session cookie."""
        return self.jar[SESSION]


def signed_in(served: Served, *roles: str) -> tuple[Any, Browser]:
    """A fresh account, and a browser in which it is signed in."""
    account, browser = served.account(*roles), Browser(served.client)
    answer = browser.login(account["username"])
    assert answer.status == 200, answer.raw
    return account, browser


def cause(answer: Answer) -> tuple[int, str]:
    """The status, and the cause that the header tells."""
    told = answer.headers.get("WWW-Authenticate", "")
    return answer.status, told.partition('error_description="')[2].rstrip('"')
