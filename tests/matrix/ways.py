"""Every way to use what one has. `arm` makes it ready, `fire` says whether it was let in."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.browser import Browser
from tests.api.factors import challenged, finish
from tests.api.oauth2 import ASSERTION_TYPE, issuer, post
from tests.api.passkeys import LOGIN
from tests.api.passkeys import login as passkey_login
from tests.api.served import PASSWORD
from tests.matrix.world import World

Fire = Callable[[], bool]
Arm = Callable[[World], Fire]

WAYS: dict[str, Arm] = {}


def way(name: str) -> Callable[[Arm], Arm]:
    def add(arm: Arm) -> Arm:
        WAYS[name] = arm
        return arm

    return add


def _sees(world: World, token: str, path: str = "/v1/accounts?limit=1") -> bool:
    return world.client(token).get(path).status in (200, 204)


@way("password")
def password(world: World) -> Fire:
    body = {"username": world.person["username"], "password": PASSWORD}
    return lambda: world.client().post("/v1/auth/login", body).status == 200


@way("cookie-login")
def cookie_login(world: World) -> Fire:
    return lambda: Browser(world.client()).login(world.person["username"]).status == 200


@way("token-me")
def token_me(world: World) -> Fire:
    token = world.pair(world.person)["access_token"]
    return lambda: _sees(world, token, "/v1/auth/me")


@way("token-permission")
def token_permission(world: World) -> Fire:
    token = world.pair(world.person)["access_token"]
    return lambda: _sees(world, token)


@way("token-check")
def token_check(world: World) -> Fire:
    token = world.pair(world.person)["access_token"]
    return lambda: _sees(world, token, "/v1/auth/check")


@way("token-check-role")
def token_check_role(world: World) -> Fire:
    token = world.pair(world.person)["access_token"]
    return lambda: _sees(world, token, f"/v1/auth/check?role={world.role}")


@way("token-validate")
def token_validate(world: World) -> Fire:
    token = {"token": world.pair(world.person)["access_token"]}
    return lambda: bool(world.client().post("/v1/token/validate", token).body["valid"])


@way("token-introspect")
def token_introspect(world: World) -> Fire:
    token = world.pair(world.person)["access_token"]
    form = {"token": token}

    def fire() -> bool:
        headers = {"Authorization": f"Bearer {world.admin.token}"}
        answer = post(world.client(), "/oauth2/introspect", form, headers)
        assert answer.status == 200, answer.raw
        assert answer.body["active"] or answer.body == {"active": False}
        return bool(answer.body["active"])

    return fire


@way("renew")
def renew(world: World) -> Fire:
    body = {"refresh_token": world.pair(world.person)["refresh_token"]}
    return lambda: world.client().post("/v1/auth/renew", body).status == 200


@way("oauth-refresh")
def oauth_refresh(world: World) -> Fire:
    token = world.pair(world.person)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return lambda: post(world.client(), "/oauth2/token", form).status == 200


@way("cookie-me")
def cookie_me(world: World) -> Fire:
    browser = Browser(world.client())
    assert browser.login(world.person["username"]).status == 200
    return lambda: browser.get("/v1/auth/me").status == 200


@way("cookie-permission")
def cookie_permission(world: World) -> Fire:
    browser = Browser(world.client())
    assert browser.login(world.person["username"]).status == 200
    return lambda: browser.get("/v1/accounts?limit=1").status == 200


@way("api-key-me")
def api_key_me(world: World) -> Fire:
    return lambda: _sees(world, world.api_key, "/v1/auth/me")


@way("api-key-permission")
def api_key_permission(world: World) -> Fire:
    return lambda: _sees(world, world.api_key)


@way("api-key-validate")
def api_key_validate(world: World) -> Fire:
    token = {"token": world.api_key}
    return lambda: bool(world.client().post("/v1/token/validate", token).body["valid"])


@way("break-glass-login")
def break_glass_login(world: World) -> Fire:
    return lambda: world.come_by_break_glass() is not None


@way("break-glass-session")
def break_glass_session(world: World) -> Fire:
    browser = world.come_by_break_glass()
    assert browser is not None
    return lambda: browser.get("/v1/auth/me").status == 200


@way("mfa-code")
def mfa_code(world: World) -> Fire:
    token = challenged(world.client(), world.careful["username"])
    return lambda: finish(world.client(), token, totp_code=world.app.code()).status == 200


@way("mfa-recovery")
def mfa_recovery(world: World) -> Fire:
    token = challenged(world.client(), world.careful["username"])
    return lambda: finish(world.client(), token, recovery_code=world.recovery.pop()).status == 200


@way("mfa-passkey")
def mfa_passkey(world: World) -> Fire:
    token = challenged(world.client(), world.careful["username"])

    def fire() -> bool:
        options = world.client().post(f"{LOGIN}/options", {"mfa_token": token})
        if options.status != 200:
            return False
        body = {"mfa_token": token, "credential": world.passkey.get(options.body)}
        return world.client().post(f"{LOGIN}/verify", body).status == 200

    return fire


@way("passkey")
def passkey(world: World) -> Fire:
    return lambda: passkey_login(world.client(), world.passkey).status == 200


@way("careful-token")
def careful_token(world: World) -> Fire:
    answer = passkey_login(world.client(), world.passkey)
    assert answer.status == 200, answer.raw
    token = answer.body["access_token"]
    return lambda: _sees(world, token)


@way("client-secret")
def client_secret(world: World) -> Fire:
    return lambda: world.machine.token().status == 200


@way("client-assertion")
def client_assertion(world: World) -> Fire:
    def fire() -> bool:
        audience = issuer(world.served)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": world.key.assertion(
                world.machine.id, audience, header={"kid": "matrix"}
            ),
        }
        return post(world.client(), "/oauth2/token", form).status == 200

    return fire


@way("client-token")
def client_token(world: World) -> Fire:
    answer = world.machine.token()
    assert answer.status == 200, answer.raw
    token = answer.body["access_token"]
    return lambda: _sees(world, token)


@way("machine-key")
def machine_key(world: World) -> Fire:
    return lambda: _sees(world, world.machine.secret)


@way("issued-token")
def issued_token(world: World) -> Fire:
    order = {"account_id": world.machine.id}
    answer = world.admin.post("/v1/token/issue", order)
    assert answer.status == 201, answer.raw
    token = answer.body["access_token"]
    return lambda: _sees(world, token)


@way("federated-login")
def federated_login(world: World) -> Fire:
    return lambda: world.come_by_federation() is not None


@way("federated-session")
def federated_session(world: World) -> Fire:
    browser = world.come_by_federation()
    assert browser is not None
    return lambda: browser.get("/v1/auth/me").status == 200


@way("federated-begun")
def federated_begun(world: World) -> Fire:
    """A sign-in that was begun before, and comes back after."""
    world.provider.claims = {"sub": world.subject, "groups": ["desk"]}
    browser = Browser(world.client(), {"User-Agent": "Mozilla/5.0 Firefox/140.0"})
    there = browser.get(f"/auth/oidc/login?provider={world.provider_id}")
    back = world.provider.authorize(there.headers["Location"])

    def fire() -> bool:
        browser.get(f"/auth/oidc/callback?{back}")
        return "gatebook_session" in browser.jar

    return fire
