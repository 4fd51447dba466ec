"""As much of a browser as a federated sign-in needs: cookies are kept, redirects are looked at."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from typing import Any

from tests.api.served import Answer, Client, Served
from tests.federation.hostile import Provider

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


class Browser:
    """Speaks to one server, as one person."""

    def __init__(self, client: Client, agent: str = AGENT) -> None:
        self.client = client.with_token(None)
        self.agent = agent
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"User-Agent": self.agent, **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method != "GET" and "gatebook_csrf" in self.cookies:
            sent.setdefault("X-CSRF-Token", self.cookies["gatebook_csrf"])
        answer = self.client.call(method, path, body, sent)
        for header in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(header).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def begin(self, provider_id: str, return_to: str = "/start") -> str:
        """Goes to the provider: where it was sent."""
        answer = self.get(f"/auth/oidc/login?provider={provider_id}&return_to={return_to}")
        assert answer.status == 302, answer.raw
        return str(answer.headers["Location"])

    def sign_in(self, provider_id: str, provider: Provider) -> Answer:
        """There and back."""
        query = provider.authorize(self.begin(provider_id))
        return self.get(f"/auth/oidc/callback?{query}")

    @property
    def signed_in(self) -> bool:
        return self.get("/v1/auth/me").status == 200


def failures(served: Served) -> list[str]:
    """The reasons that the log has, in their order, as far as the audit index has followed it."""
    events = served.events("&type=federated_login.failed")
    return [event["data"]["reason"] for event in events]


def failed_for(served: Served, *reasons: str) -> bool:
    """Whether the last refusal on record has one of these reasons, or soon has."""
    for _ in range(100):
        if failures(served)[-1:] and failures(served)[-1] in reasons:
            return True
        time.sleep(0.05)
    return False
