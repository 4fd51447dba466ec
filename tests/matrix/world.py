"""Three accounts with everything an account can have, on one server.

`person` has a password, an API key, a break-glass credential and an identity at a provider;
`careful` has two factors and recovery codes; `machine` is an OAuth 2 client.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.api.browser import Browser
from tests.api.emergency import CREDENTIALS, EMERGENCY, address
from tests.api.factors import App, enrol
from tests.api.oauth2 import Key, Machine
from tests.api.passkeys import register
from tests.api.served import PASSWORD, Client, Served
from tests.authenticator import Authenticator
from tests.federation.hostile import CLIENT_ID, CLIENT_SECRET, Provider

_numbers = itertools.count(1)


class World:
    """One of each, made anew for each change."""

    def __init__(self, served: Served, provider: Provider) -> None:
        self.served, self.provider, self.admin = served, provider, served.admin
        number = next(_numbers)
        self.role = f"desk-{number}"
        permissions = ["accounts.read", "auth.breakglass.login"]
        self.define(permissions)
        self._people(number)
        self._machine()
        self._provider(number)

    def define(self, permissions: list[str]) -> None:
        """What the role stands for."""
        body = {"permissions": permissions, "description": "The desk."}
        answer = self.admin.put(f"/v1/roles/{self.role}", body)
        assert answer.status in (200, 201), answer.raw

    def account(self, who: Any) -> str:
        return f"/v1/accounts/{who['id']}"

    def client(self, token: str | None = None) -> Client:
        return self.served.client.with_token(token)

    def grant(self, who: Any, query: str = "") -> None:
        answer = self.admin.put(f"{self.account(who)}/roles/{self.role}{query}")
        assert answer.status == 204, answer.raw

    def _people(self, number: int) -> None:
        self.person = self.served.account()
        self.grant(self.person)
        made = self.admin.post(f"{self.account(self.person)}/api-keys", {"name": "matrix"})
        assert made.status == 201, made.raw
        self.api_key, self.api_key_id = made.body["key"], made.body["id"]
        armed = {"account_id": self.person["id"], "password": EMERGENCY}
        answer = self.admin.post(CREDENTIALS, armed)
        assert answer.status == 201, answer.raw

        self.careful = self.served.account()
        self.grant(self.careful)
        client = self.client(self.served.token(self.careful["username"]))
        self.app: App = enrol(client)
        self.passkey = Authenticator()
        registered = register(client, self.passkey, "matrix")
        assert registered.status == 201, registered.raw
        self.passkey_id = registered.body["id"]
        self.recovery: list[str] = client.post("/v1/auth/recovery-codes").body["codes"]
        self.careful_client = client

    def _machine(self) -> None:
        self.machine = Machine(self.served, self.role)
        self.key = Key()
        jwk = {**self.key.jwk, "kid": "matrix", "alg": "ES256", "use": "sig"}
        self.machine.configure(
            jwks={"keys": [jwk]},
            auth_methods=["client_secret_basic", "private_key_jwt"],
            scopes=["accounts.read"],
        )

    def _provider(self, number: int) -> None:
        body = {
            "name": f"Matrix {number}",
            "issuer": self.provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
        made = self.admin.post("/v1/auth/oidc/providers", body)
        assert made.status == 201, made.raw
        self.provider_id = made.body["id"]
        mapping = {"provider_id": self.provider_id, "group": "desk", "role": self.role}
        mapped = self.admin.post("/v1/auth/oidc/group-mappings", mapping)
        assert mapped.status == 201, mapped.raw
        self.mapping_id = mapped.body["id"]
        self.subject = f"matrix-{number}"
        self.federated_id = ""

    def come_by_federation(self) -> Browser | None:
        """A browser that came by the provider; None when it was turned away."""
        self.provider.claims = {"sub": self.subject, "groups": ["desk"]}
        browser = Browser(self.served.client, {"User-Agent": "Mozilla/5.0 Firefox/140.0"})
        there = browser.get(f"/auth/oidc/login?provider={self.provider_id}")
        if there.status != 302 or "code_challenge" not in there.headers["Location"]:
            return None
        back = self.provider.authorize(there.headers["Location"])
        browser.get(f"/auth/oidc/callback?{back}")
        if "gatebook_session" not in browser.jar:
            return None
        self.federated_id = browser.get("/v1/auth/me").body["account"]["id"]
        return browser

    def come_by_break_glass(self) -> Browser | None:
        """A browser that came by the break-glass credential; None when it was turned away."""
        browser = Browser(self.served.client, address())
        body = {"account_id": self.person["id"], "password": EMERGENCY}
        answer = browser.call("POST", "/auth/breakglass/login", body, csrf=False)
        return browser if answer.status == 204 else None

    def pair(self, who: Any) -> Any:
        """Tokens of a fresh sign-in by password."""
        return self.served.client.login(who["username"], PASSWORD)
