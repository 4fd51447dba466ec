"""Every way in which something ends, and which ways of use end with it. All others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.api.emergency import CREDENTIALS, WRONG, address, attempt
from tests.api.served import Answer
from tests.matrix.ways import WAYS
from tests.matrix.world import World

TOKENS = {
    "token-me",
    "token-permission",
    "token-check",
    "token-check-role",
    "token-validate",
    "token-introspect",
    "renew",
    "oauth-refresh",
    "cookie-me",
    "cookie-permission",
    "break-glass-session",
}
KEYS = {"api-key-me", "api-key-permission", "api-key-validate"}
SIGN_INS = {"password", "cookie-login", "break-glass-login"}
PERSON = TOKENS | KEYS | SIGN_INS
BEGUN = {"mfa-code", "mfa-recovery", "mfa-passkey"}
CAREFUL = BEGUN | {"passkey", "careful-token"}
MACHINE = {"client-secret", "client-assertion", "client-token", "machine-key", "issued-token"}
FEDERATED = {"federated-login", "federated-session", "federated-begun"}
BY_ROLE = {
    "token-permission",
    "token-check-role",
    "cookie-permission",
    "api-key-permission",
    "break-glass-login",
}


class Change(msgspec.Struct, frozen=True):
    """What is done, and the ways that are shut from the moment its request was answered."""

    do: Callable[[World], object]
    ends: frozenset[str]
    before: Callable[[World], object] = lambda _world: None


CHANGES: dict[str, Change] = {}


def _add(
    name: str,
    ends: set[str],
    do: Callable[[World], object],
    before: Callable[[World], object] = lambda _world: None,
) -> None:
    assert ends <= set(WAYS), ends - set(WAYS)
    CHANGES[name] = Change(do, frozenset(ends), before)


def _ok(answer: Answer) -> None:
    assert answer.status in (200, 201, 204), answer.raw


def _status(who: str, status: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        _ok(world.admin.patch(world.account(_account(world, who)), {"status": status}))

    return do


def _delete(who: str) -> Callable[[World], None]:
    return lambda world: _ok(world.admin.delete(world.account(_account(world, who))))


def _account(world: World, who: str) -> Any:
    if who == "federated":
        if not world.federated_id:
            world.come_by_federation()
        return {"id": world.federated_id}
    return world.machine.account if who == "machine" else getattr(world, who)


def _erase(world: World) -> None:
    path = f"{world.account(world.person)}/erase"
    _ok(world.admin.post(path, {"confirm": world.person["username"]}))


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=1.2)).isoformat().replace("+00:00", "Z")


def _lock(world: World) -> None:
    body = {"username": world.person["username"], "password": "not hers at all 77"}
    for _ in range(5):
        assert world.client().post("/v1/auth/login", body).status == 401


def _lock_codes(world: World) -> None:
    from tests.api.factors import challenged, finish

    token = challenged(world.client(), world.careful["username"])
    for _ in range(5):
        answer = finish(world.client(), token, totp_code=world.app.wrong())
        assert answer.status == 401


def _credential(who: str, kind: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        path = f"{world.account(getattr(world, who))}/credentials"
        items = world.admin.get(path).body["items"]
        for one in items:
            if one["kind"] == kind:
                _ok(world.admin.delete(f"{path}/{one['id']}"))

    return do


def _break_glass_locked(world: World) -> None:
    """Fifty failures from everywhere: the credential's own lock, beyond each address's."""
    for _ in range(50):
        answer = attempt(world.client(), world.person["id"], WRONG, address())
        assert answer.status == 401


def _revoke_role(world: World) -> None:
    for who in (world.person, world.careful, world.machine.account):
        _ok(world.admin.delete(f"{world.account(who)}/roles/{world.role}"))


def _role_gone(world: World) -> None:
    held = world.admin.get(f"/v1/accounts?role={world.role}&limit=50").body["items"]
    for who in held:
        _ok(world.admin.delete(f"{world.account(who)}/roles/{world.role}"))
    _ok(world.admin.delete(f"/v1/roles/{world.role}"))


def _client(**body: Any) -> Callable[[World], None]:
    def do(world: World) -> None:
        world.machine.configure(**{"scopes": ["accounts.read"], **body})

    return do


def _rotate_key(world: World) -> None:
    path = f"{world.account(world.person)}/api-keys/{world.api_key_id}/rotate"
    _ok(world.admin.post(path, {"overlap": 0}))


def _expiring_key(world: World) -> None:
    body = {"name": "short", "expires_at": _soon()}
    made = world.admin.post(f"{world.account(world.person)}/api-keys", body)
    world.api_key, world.api_key_id = made.body["key"], made.body["id"]


def _wait(_world: World) -> None:
    time.sleep(1.4)


def _retire_keys(world: World) -> None:
    known = {one["kid"]: one for one in world.admin.get("/v1/keys?limit=500").body["items"]}
    _ok(world.admin.post("/v1/keys/rotate", {"lead": 0}))
    token = world.admin.token
    for kid, one in known.items():
        if one["status"] == "active":
            retired = world.admin.post(f"/v1/keys/{kid}/retire")
            _ok(retired)
    world.served._admin = None  # its token was signed by the retired key
    world.admin = world.served.admin
    assert world.admin.token != token


def _all_sessions(world: World) -> None:
    path = f"{world.account(world.person)}/sessions"
    for one in world.admin.get(f"{path}?limit=500").body["items"]:
        _ok(world.admin.delete(f"{path}/{one['id']}"))


def _provider(**changes: Any) -> Callable[[World], None]:
    return lambda world: _ok(
        world.admin.patch(f"/v1/auth/oidc/providers/{world.provider_id}", changes)
    )


def _unlink(world: World) -> None:
    """The next sign-in with the provider is a stranger's: a new account."""
    path = f"/v1/accounts/{world.federated_id}/identities"
    for one in world.admin.get(path).body["items"]:
        _ok(world.admin.delete(f"{path}/{one['id']}"))


def _provider_logout(world: World) -> None:
    raw = f"logout_token={world.provider.logout_token(sub=world.subject)}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/oidc/back-channel-logout"
    _ok(world.client().call("POST", path, raw=raw, headers=headers))


_add("account off", PERSON, _status("person", "inactive"))
_add("account deleted", PERSON, _delete("person"))
_add("account erased", PERSON, _erase)
_add("careful off", CAREFUL, _status("careful", "inactive"))
_add("careful deleted", CAREFUL, _delete("careful"))
_add("machine off", MACHINE, _status("machine", "inactive"))
_add("machine deleted", MACHINE, _delete("machine"))
_add("federated account off", FEDERATED, _status("federated", "inactive"))
_add("federated account deleted", FEDERATED, _delete("federated"))
_add("tokens revoked", TOKENS,
     lambda w: _ok(w.admin.delete(f"{w.account(w.person)}/tokens")))  # fmt: skip
_add("machine's tokens revoked", {"client-token", "issued-token"},
     lambda w: _ok(w.admin.delete(f"{w.account(w.machine.account)}/tokens")))  # fmt: skip
_add("sessions ended", TOKENS, _all_sessions)
_add("password reset", TOKENS | {"password", "cookie-login"},
     lambda w: _ok(w.admin.put(f"{w.account(w.person)}/password",
                               {"password": "a new one for the desk 9"})))  # fmt: skip
_add("password locked", {"password", "cookie-login"}, _lock)
_add("password removed", TOKENS | {"password", "cookie-login"}, _credential("person", "password"))
_add("careful's password reset", BEGUN | {"careful-token"},
     lambda w: _ok(w.admin.put(f"{w.account(w.careful)}/password",
                               {"password": "a new one for the desk 9"})))  # fmt: skip
_add("codes locked", {"mfa-code"}, _lock_codes)
_add("codes removed", BEGUN | {"careful-token"}, _credential("careful", "totp"))
_add("recovery codes removed", {"mfa-recovery"}, _credential("careful", "recovery-codes"))
_add("passkey removed", BEGUN | {"passkey", "careful-token"}, _credential("careful", "passkey"))
_add("key revoked", KEYS,
     lambda w: _ok(w.admin.delete(f"{w.account(w.person)}/api-keys/{w.api_key_id}")))  # fmt: skip
_add("key rotated", KEYS, _rotate_key)
_add("key expired", KEYS, _wait, before=_expiring_key)
_add("client's secret revoked", {"client-secret", "machine-key"},
     lambda w: _ok(w.admin.delete(
         f"{w.account(w.machine.account)}/api-keys/{w.machine.key_id}")))  # fmt: skip
_add("client without keys", {"client-assertion"}, _client(auth_methods=["client_secret_basic"]))
_add("client without secrets", {"client-secret"},
     lambda w: w.machine.configure(
         jwks={"keys": [{**w.key.jwk, "kid": "matrix", "alg": "ES256", "use": "sig"}]},
         auth_methods=["private_key_jwt"], scopes=["accounts.read"]))  # fmt: skip
_add("client removed", {"client-assertion"},
     lambda w: _ok(w.admin.delete(f"{w.account(w.machine.account)}/client")))  # fmt: skip
_add("role revoked", BY_ROLE | {"careful-token", "client-token", "machine-key", "issued-token"},
     _revoke_role)  # fmt: skip
_add("role expired", BY_ROLE, _wait,
     before=lambda w: w.grant(w.person, f"?expires_at={_soon()}"))  # fmt: skip
_add("role narrowed", BY_ROLE - {"token-check-role"}
     | {"careful-token", "client-token", "machine-key", "issued-token"},
     lambda w: w.define(["roles.read"]))  # fmt: skip
_add("role deleted", BY_ROLE
     | {"careful-token", "client-token", "machine-key", "issued-token",
        "federated-login", "federated-begun"}, _role_gone)  # fmt: skip
_add("break-glass removed", {"break-glass-login", "break-glass-session"},
     lambda w: _ok(w.admin.delete(f"{CREDENTIALS}/{w.person['id']}")))  # fmt: skip
_add("break-glass set anew", {"break-glass-login", "break-glass-session"},
     lambda w: _ok(w.admin.post(CREDENTIALS, {
         "account_id": w.person["id"], "password": "another lantern for all 3"})))  # fmt: skip
_add("break-glass locked", {"break-glass-login"}, _break_glass_locked)
_add("provider off", {"federated-login", "federated-begun"}, _provider(enabled=False))
_add("mapping removed", {"federated-login", "federated-begun"},
     lambda w: _ok(w.admin.delete(f"/v1/auth/oidc/group-mappings/{w.mapping_id}")))  # fmt: skip
_add("identity unlinked", {"federated-session"}, _unlink)
_add("provider logs out", {"federated-session"}, _provider_logout)
_add("signing key retired",
     (TOKENS - {"cookie-me", "cookie-permission", "break-glass-session", "renew", "oauth-refresh"})
     | {"careful-token", "client-token", "issued-token"}, _retire_keys)  # fmt: skip
