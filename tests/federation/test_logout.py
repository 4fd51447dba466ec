"""Signed out from the provider's side (E41), Back-Channel Logout 1.0."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.served import Served
from tests.federation.browser import Browser
from tests.federation.hostile import LOGOUT_EVENT, Key, Provider

PATH = "/auth/oidc/back-channel-logout"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def post(served: Served, token: str) -> Any:
    raw = urlencode({"logout_token": token}).encode()
    return served.client.call("POST", PATH, headers=FORM, raw=raw)


def signed_in(
    served: Served, provider: Provider, provider_id: str, sub: str, sid: str = ""
) -> Browser:
    provider.claims = {"sub": sub, "groups": ["staff"], **({"sid": sid} if sid else {})}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    assert browser.signed_in
    return browser


def test_by_sub(served: Served, provider: Provider, provider_id: str) -> None:
    """Every session of the subject ends, and nobody else's."""
    one, two = (signed_in(served, provider, provider_id, "alice") for _ in range(2))
    other = signed_in(served, provider, provider_id, "bob")
    answer = post(served, provider.logout_token(sub="alice"))
    assert (answer.status, answer.raw) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert not one.signed_in
    assert not two.signed_in
    assert other.signed_in


def test_by_sid(served: Served, provider: Provider, provider_id: str) -> None:
    """The one session that the provider names ends; both named: that one too."""
    one = signed_in(served, provider, provider_id, "carol", "sid-1")
    two = signed_in(served, provider, provider_id, "carol", "sid-2")
    three = signed_in(served, provider, provider_id, "carol", "sid-3")
    assert post(served, provider.logout_token(sid="sid-1")).status == 200
    assert (one.signed_in, two.signed_in, three.signed_in) == (False, True, True)
    assert post(served, provider.logout_token(sid="sid-2", sub="carol")).status == 200
    assert (two.signed_in, three.signed_in) == (False, True)


def test_both_where_the_sid_is_unknown(
    served: Served, provider: Provider, provider_id: str
) -> None:
    """A token with a `sid` that was never seen here still ends the subject's sessions."""
    browser = signed_in(served, provider, provider_id, "dora")
    assert post(served, provider.logout_token(sid="never", sub="dora")).status == 200
    assert not browser.signed_in


def test_a_token_counts_once(served: Served, provider: Provider, provider_id: str) -> None:
    """A replay is answered alike and does nothing to a session that came later."""
    token = provider.logout_token(sub="emil")
    first = signed_in(served, provider, provider_id, "emil")
    assert post(served, token).status == 200
    assert not first.signed_in
    second = signed_in(served, provider, provider_id, "emil")
    assert post(served, token).status == 200
    assert second.signed_in


def test_a_failure_in_between(served: Served, provider: Provider, provider_id: str) -> None:
    """While the keys cannot be had the answer is 503, and the provider's retry still counts."""
    browser = signed_in(served, provider, provider_id, "fritz")
    provider.key = Key()
    token = provider.logout_token(sub="fritz")
    provider.answers["/jwks"] = lambda handler: handler.say(500, {})
    time.sleep(1.1)
    assert post(served, token).status == 503
    assert browser.signed_in
    del provider.answers["/jwks"]
    provider.published = [provider.key]
    time.sleep(1.1)
    assert post(served, token).status == 200
    assert not browser.signed_in


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("no events", {"events": ...}),
    ("empty events", {"events": {}}),
    ("events a list", {"events": [LOGOUT_EVENT]}),
    ("event not an object", {"events": {LOGOUT_EVENT: True}}),
    ("a nonce", {"nonce": "n"}),
    ("an empty nonce", {"nonce": ""}),
    ("iss of another", {"iss": "https://other.example"}),
    ("aud of another", {"aud": "other"}),
    ("aud missing", {"aud": ...}),
    ("iat long ago", {"iat": int(time.time()) - 3600}),
    ("iat to come", {"iat": int(time.time()) + 3600}),
    ("iat missing", {"iat": ...}),
    ("exp past", {"exp": int(time.time()) - 3600}),
    ("exp missing", {"exp": ...}),
    ("jti missing", {"jti": ...}),
    ("jti a number", {"jti": 7}),
    ("jti empty", {"jti": ""}),
    ("neither sub nor sid", {"sub": ...}),
    ("sub a number", {"sub": 7}),
    ("sub empty", {"sub": ""}),
    ("sid a list", {"sid": ["a"]}),
    ("azp of another", {"azp": "other"}),
]


@pytest.mark.parametrize("changes", [c for _, c in VARIANTS], ids=[name for name, _ in VARIANTS])
def test_tokens_that_are_none(
    served: Served, provider: Provider, provider_id: str, changes: dict[str, Any]
) -> None:
    """400, and the session lives."""
    browser = signed_in(served, provider, provider_id, "gerda")
    answer = post(served, provider.logout_token(**{"sub": "gerda", **changes}))
    assert answer.status == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert browser.signed_in


def test_signed_by_another(served: Served, provider: Provider, provider_id: str) -> None:
    """A stranger's key, the provider's ID token, and no token at all end nothing."""
    browser = signed_in(served, provider, provider_id, "hans")
    foreign = provider.logout_token(Key(kid=provider.key.kid), sub="hans")
    assert post(served, foreign).status == 400
    now = int(time.time())
    id_token = provider.key.sign(
        {
            "iss": provider.issuer,
            "aud": "gatebook-test",
            "sub": "hans",
            "iat": now,
            "exp": now + 60,
            "jti": "x",
        }
    )
    for token in (id_token, "x", "", "a.b.c"):
        assert post(served, token).status == 400
    assert browser.signed_in
