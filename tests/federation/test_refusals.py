"""Everything that a hostile provider, or a hostile browser, can get wrong (E31 to E33, E36, E37).

Each ends the same way in the browser: no session, the login page with one opaque word, and the
cookie of the sign-in gone. The log has the precise reason.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from tests.api.served import Served
from tests.federation.browser import Browser, failed_for, failures
from tests.federation.conftest import configure
from tests.federation.hostile import CLIENT_ID, Handler, Key, Provider

OPAQUE = "/login?error=sign-in-failed"


def refused(served: Served, browser: Browser, answer: Any, *reasons: str) -> None:
    """Nobody is signed in, the browser is told one thing, the log the reason."""
    assert (answer.status, answer.headers["Location"]) == (302, OPAQUE)
    assert "gatebook_session" not in browser.cookies
    assert "gatebook_oidc" not in browser.cookies
    assert failed_for(served, *reasons), failures(served)[-1:]


def now() -> int:
    return int(time.time())


CLAIMS: list[tuple[str, dict[str, Any], str]] = [
    ("iss of another", {"iss": "https://other.example"}, "id_token_iss_mismatch"),
    ("iss with a slash", {"iss": ...}, "id_token_iss_mismatch"),
    ("aud of another", {"aud": "somebody-else"}, "audience_mismatch"),
    ("aud missing", {"aud": ...}, "audience_mismatch"),
    ("aud list without us", {"aud": ["a", "b"], "azp": CLIENT_ID}, "audience_mismatch"),
    ("aud list with a number", {"aud": [CLIENT_ID, 7]}, "audience_mismatch"),
    ("azp missing", {"aud": [CLIENT_ID, "other"]}, "azp_mismatch"),
    ("azp wrong", {"azp": "other"}, "azp_mismatch"),
    ("at_hash missing", {"at_hash": ...}, "at_hash_missing"),
    ("at_hash wrong", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash_mismatch"),
    ("at_hash a number", {"at_hash": 1}, "at_hash_mismatch"),
    ("exp past", {"exp": now() - 3600}, "token_expired"),
    ("exp missing", {"exp": ...}, "token_expired"),
    ("exp a string", {"exp": str(now() + 300)}, "token_expired"),
    ("exp endless", {"exp": 10**18}, "token_expired"),
    ("iat missing", {"iat": ...}, "iat_window"),
    ("iat to come", {"iat": now() + 3600}, "iat_window"),
    ("iat long ago", {"iat": now() - 3600}, "iat_window"),
    ("iat true", {"iat": True}, "iat_window"),
    ("nbf to come", {"nbf": now() + 3600}, "iat_window"),
    ("nonce of another", {"nonce": "x" * 43}, "nonce_mismatch"),
    ("nonce missing", {"nonce": ...}, "nonce_mismatch"),
    ("nonce a list", {"nonce": ["x"]}, "nonce_mismatch"),
    ("sub missing", {"sub": ...}, "subject_missing"),
    ("sub empty", {"sub": ""}, "subject_missing"),
    ("sub a number", {"sub": 7}, "subject_missing"),
    ("sub too long", {"sub": "s" * 256}, "subject_missing"),
    ("groups missing", {"groups": ...}, "groups_missing"),
    ("groups true", {"groups": True}, "groups_malformed"),
    ("groups a number", {"groups": 7}, "groups_malformed"),
    ("groups an object", {"groups": {"staff": True}}, "groups_malformed"),
    ("groups mixed", {"groups": ["staff", 7]}, "groups_malformed"),
    ("groups null inside", {"groups": ["staff", None]}, "groups_malformed"),
    ("groups too many", {"groups": [str(n) for n in range(1001)]}, "groups_malformed"),
    ("groups unmapped", {"groups": ["strangers"]}, "unmapped_groups"),
    ("groups in other letters", {"groups": ["Staff"]}, "unmapped_groups"),
]


@pytest.mark.parametrize(
    ("claims", "reason"), [(c, r) for _, c, r in CLAIMS], ids=[name for name, *_ in CLAIMS]
)
def test_claims(
    served: Served, provider: Provider, provider_id: str, claims: dict[str, Any], reason: str
) -> None:
    """E32: one claim is wrong, all else is right."""
    provider.claims |= {"sub": "nobody-yet", **claims}
    if claims == {"iss": ...}:
        provider.claims["iss"] = provider.issuer + "/"
    browser = Browser(served.client)
    before = len(served.admin.get("/v1/accounts?limit=500").body["items"])
    refused(served, browser, browser.sign_in(provider_id, provider), reason)
    assert len(served.admin.get("/v1/accounts?limit=500").body["items"]) == before


def part(content: Any) -> str:
    """One part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hs256(provider: Provider) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        secret = json.dumps(provider.key.jwk).encode()
        signed = f"{part({'alg': 'HS256', 'kid': provider.key.kid})}.{part(claims)}"
        return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"

    return sign


def _embedded(_provider: Provider) -> Callable[[dict[str, Any]], str]:
    mine = Key()
    return lambda claims: mine.sign(claims, jwk=mine.jwk)


def _flipped(provider: Provider) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        header, payload, signature = provider.key.sign(claims).split(".")
        raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
        raw[7] ^= 1
        return f"{header}.{payload}.{part(bytes(raw))}"

    return sign


SIGNATURES: list[tuple[str, Callable[[Provider], Callable[[dict[str, Any]], str]], set[str]]] = [
    ("none", lambda _p: lambda c: f"{part({'alg': 'none'})}.{part(c)}.", {"id_token_malformed"}),
    ("None", lambda _p: lambda c: f"{part({'alg': 'None'})}.{part(c)}.AA", {"alg_rejected"}),
    ("HS256 with the key", _hs256, {"alg_rejected"}),
    ("a key of his own", lambda p: lambda c: Key(kid=p.key.kid).sign(c), {"signature_invalid"}),
    ("an unknown kid", lambda _p: lambda c: Key().sign(c), {"unknown_key"}),
    ("an embedded key", _embedded, {"unknown_key", "signature_invalid"}),
    ("another algorithm", lambda p: lambda c: Key("RS256", p.key.kid).sign(c), {"unknown_key"}),
    ("a flipped bit", _flipped, {"signature_invalid"}),
    (
        "no signature",
        lambda p: lambda c: p.key.sign(c).rpartition(".")[0] + ".",
        {"id_token_malformed"},
    ),
    ("crit", lambda p: lambda c: p.key.sign(c, crit=["exp"], exp=1), {"id_token_malformed"}),
    ("another typ", lambda p: lambda c: p.key.sign(c, typ="at+jwt"), {"id_token_malformed"}),
    ("no token", lambda _p: lambda _c: "not a token", {"id_token_malformed"}),
    ("padding", lambda p: lambda c: p.key.sign(c) + "==", {"id_token_malformed"}),
]


@pytest.mark.parametrize(
    ("forge", "reasons"), [(f, r) for _, f, r in SIGNATURES], ids=[name for name, *_ in SIGNATURES]
)
def test_signatures(
    served: Served,
    provider: Provider,
    provider_id: str,
    forge: Callable[[Provider], Callable[[dict[str, Any]], str]],
    reasons: set[str],
) -> None:
    """E32: a token that the provider's published keys did not sign, by whatever trick."""
    provider.sign = forge(provider)
    browser = Browser(served.client)
    refused(served, browser, browser.sign_in(provider_id, provider), *reasons)


def test_two_keys_of_one_kid(served: Served, provider: Provider, provider_id: str) -> None:
    """Which of them counts would be anybody's guess."""
    provider.published = [provider.key, Key(kid=provider.key.kid)]
    browser = Browser(served.client)
    refused(served, browser, browser.sign_in(provider_id, provider), "unknown_key")


def test_a_key_for_encryption(served: Served, provider: Provider, provider_id: str) -> None:
    """A key whose `use` or `key_ops` is another does not verify."""
    for changed in ({"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "ES384"}):
        jwk = {**provider.key.jwk, **changed}
        provider.answers["/jwks"] = lambda handler, jwk=jwk: handler.say(200, {"keys": [jwk]})
        browser = Browser(served.client)
        refused(served, browser, browser.sign_in(provider_id, provider), "unknown_key")


ANSWERS: list[tuple[str, str, Callable[[Handler], None], set[str]]] = [
    ("token 500", "/token", lambda h: h.say(500, {}), {"token_endpoint_failed"}),
    ("token html", "/token", lambda h: h.say(200, b"<p>", "text/html"), {"token_endpoint_failed"}),
    ("token list", "/token", lambda h: h.say(200, []), {"token_endpoint_failed"}),
    ("token huge", "/token", lambda h: h.say(200, b" " * 70_000), {"token_endpoint_failed"}),
    ("token hangs", "/token", lambda _h: time.sleep(3), {"token_endpoint_failed"}),
    ("jwks huge", "/jwks", lambda h: h.say(200, b" " * 70_000), {"jwks_unreachable"}),
    ("jwks no list", "/jwks", lambda h: h.say(200, {"keys": {}}), {"jwks_unreachable"}),
]


@pytest.mark.parametrize(
    ("path", "say", "reasons"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
def test_answers(
    served: Served,
    provider: Provider,
    provider_id: str,
    path: str,
    say: Callable[[Handler], None],
    reasons: set[str],
) -> None:
    """A provider that answers oddly, or not at all, within a bounded time."""
    provider.answers[path] = say
    browser = Browser(served.client)
    began = time.monotonic()
    refused(served, browser, browser.sign_in(provider_id, provider), *reasons)
    assert time.monotonic() - began < 15


def test_no_id_token(served: Served, provider: Provider, provider_id: str) -> None:
    """An OAuth answer without an ID token signs nobody in."""
    provider.token_changes = {"id_token": ...}
    browser = Browser(served.client)
    refused(served, browser, browser.sign_in(provider_id, provider), "id_token_missing")


def test_replayed(served: Served, provider: Provider, provider_id: str) -> None:
    """E31: a callback counts once, even for a provider that redeems its code again and again."""
    browser = Browser(served.client)
    query = provider.authorize(browser.begin(provider_id))
    code = parse_qs(query)["code"][0]
    asked, kept = dict(provider.codes[code]), dict(browser.cookies)
    assert browser.get(f"/auth/oidc/callback?{query}").headers["Location"] == "/start"

    provider.codes[code] = asked
    other = Browser(served.client)
    other.cookies = kept
    answer = other.get(f"/auth/oidc/callback?{query}")
    refused(served, other, answer, "pre_login_spent")


def test_another_browser(served: Served, provider: Provider, provider_id: str) -> None:
    """E31: without the cookie, or with another sign-in's, nobody is signed in."""
    victim, thief = Browser(served.client), Browser(served.client)
    query = provider.authorize(victim.begin(provider_id))

    refused(served, thief, thief.get(f"/auth/oidc/callback?{query}"), "pre_login_missing")
    thief.begin(provider_id)
    refused(served, thief, thief.get(f"/auth/oidc/callback?{query}"), "state_mismatch")

    assert victim.get(f"/auth/oidc/callback?{query}").headers["Location"] == "/start"
    assert victim.signed_in


def test_another_program(served: Served, provider: Provider, provider_id: str) -> None:
    """E31: the cookie in another program, or without a User-Agent, is somebody else's."""
    for agent in ("curl/8.0", ""):
        browser = Browser(served.client)
        query = provider.authorize(browser.begin(provider_id))
        browser.agent = agent
        answer = browser.get(f"/auth/oidc/callback?{query}")
        refused(served, browser, answer, "pre_login_client_mismatch")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "x" * 43}, "state_mismatch"),
        ({"state": None}, "state_mismatch"),
        ({"state": ""}, "state_mismatch"),
        ({"iss": "https://other.example"}, "iss_param_mismatch"),
        ({"iss": None}, "iss_param_missing"),
        ({"code": None}, "provider_error"),
        ({"error": "server_error"}, "provider_error"),
        ({"code": "invented"}, "token_endpoint_failed"),
    ],
)
def test_parameters(
    served: Served,
    provider: Provider,
    provider_id: str,
    changes: dict[str, str | None],
    reason: str,
) -> None:
    """E31, E33: what the browser brings back is wrong."""
    browser = Browser(served.client)
    query = {k: v[0] for k, v in parse_qs(provider.authorize(browser.begin(provider_id))).items()}
    brought = {k: v for k, v in {**query, **changes}.items() if v is not None}
    answer = browser.get(f"/auth/oidc/callback?{urlencode(brought)}")
    refused(served, browser, answer, reason)


def test_a_parameter_that_stands_twice(
    served: Served, provider: Provider, provider_id: str
) -> None:
    """Two states are no state."""
    browser = Browser(served.client)
    query = provider.authorize(browser.begin(provider_id))
    assert browser.get(f"/auth/oidc/callback?{query}&state=again").status == 400
    assert not browser.signed_in


def test_no_iss_is_fine_where_none_is_promised(
    served: Served, provider: Provider, provider_id: str
) -> None:
    """E33: without the promise a missing `iss` passes, and a wrong one does not."""
    provider.with_iss = False
    browser = Browser(served.client)
    assert browser.sign_in(provider_id, provider).headers["Location"] == "/start"
    query = provider.authorize(browser.begin(provider_id))
    answer = browser.get(f"/auth/oidc/callback?{query}&iss=https%3A%2F%2Fother.example")
    assert answer.headers["Location"] == OPAQUE
    assert failed_for(served, "iss_param_mismatch")


def test_the_person_said_no(served: Served, provider: Provider, provider_id: str) -> None:
    """access_denied is a polite page, not an error."""
    browser = Browser(served.client)
    query = parse_qs(provider.authorize(browser.begin(provider_id)))
    back = urlencode({"error": "access_denied", "state": query["state"][0], "iss": query["iss"][0]})
    answer = browser.get(f"/auth/oidc/callback?{back}")
    assert (answer.status, answer.headers["Location"]) == (302, "/login?error=cancelled")
    assert failed_for(served, "access_denied")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email": "a@other.org", "email_verified": True}, "email_domain_not_allowed"),
        ({"email": "a@sub.example.org", "email_verified": True}, "email_domain_not_allowed"),
        ({"email": "a@example.org.evil.net", "email_verified": True}, "email_domain_not_allowed"),
        ({"email": "a@example.org", "email_verified": False}, "email_not_verified"),
        ({"email": "a@example.org", "email_verified": "true"}, "email_not_verified"),
        ({"email": "a@example.org"}, "email_not_verified"),
        ({}, "email_missing"),
        ({"email": "a@b@example.org", "email_verified": True}, "email_missing"),
        ({"email": ["a@example.org"], "email_verified": True}, "email_missing"),
    ],
)
def test_domains(served: Served, provider: Provider, claims: dict[str, Any], reason: str) -> None:
    """E37: only verified addresses of the very domain."""
    provider_id = configure(served, provider, allowed_domains=["example.org"])
    provider.claims |= claims
    browser = Browser(served.client)
    refused(served, browser, browser.sign_in(provider_id, provider), reason)

    provider.claims |= {"email": "A@EXAMPLE.org", "email_verified": True}
    browser.sign_in(provider_id, provider)
    assert browser.signed_in


def test_accounts_that_are_off(served: Served, provider: Provider, provider_id: str) -> None:
    """A linked account that is off or deleted is refused; switched on again it comes back."""
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    account = f"/v1/accounts/{browser.get('/v1/auth/me').body['account']['id']}"
    assert served.admin.patch(account, {"status": "inactive"}).status == 200
    assert not browser.signed_in
    fresh = Browser(served.client)
    refused(served, fresh, fresh.sign_in(provider_id, provider), "account_inactive")
    assert served.admin.patch(account, {"status": "active"}).status == 200
    assert fresh.sign_in(provider_id, provider).headers["Location"] == "/start"
    assert served.admin.delete(account).status == 204
    refused(served, fresh2 := Browser(served.client), fresh2.sign_in(provider_id, provider),
            "account_deleted")  # fmt: skip


def test_only_who_is_known(served: Served, provider: Provider) -> None:
    """Where accounts are not created, a stranger stays outside."""
    provider_id = configure(served, provider, create_accounts=False)
    browser = Browser(served.client)
    refused(served, browser, browser.sign_in(provider_id, provider), "account_creation_disabled")


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/%0d%0aX", "/a b", "\\"],
)
def test_return_to_is_a_local_path(served: Served, provider_id: str, path: str) -> None:
    """No open redirect: only a path of this site."""
    query = urlencode({"provider": provider_id, "return_to": path})
    answer = served.client.get(f"/auth/oidc/login?{query}")
    if path == "/%0d%0aX":
        assert answer.status == 302  # percent signs stay what they are
        return
    assert answer.status == 400


def test_who_is_not_there(served: Served, provider: Provider, provider_id: str) -> None:
    """An unknown provider is 404, one that is off is 403; a dead one is a failed sign-in."""
    unknown = "01920000-0000-7000-8000-000000000000"
    assert served.client.get(f"/auth/oidc/login?provider={unknown}").status == 404
    path = f"/v1/auth/oidc/providers/{provider_id}"
    assert served.admin.patch(path, {"enabled": False}).status == 200
    assert served.client.get(f"/auth/oidc/login?provider={provider_id}").status == 403
    assert served.admin.patch(path, {"enabled": True}).status == 200
    provider.answers["/.well-known/openid-configuration"] = lambda h: h.say(500, {})
    answer = served.client.get(f"/auth/oidc/login?provider={provider_id}")
    assert (answer.status, answer.headers["Location"]) == (302, OPAQUE)
    assert failed_for(served, "discovery_failed")
