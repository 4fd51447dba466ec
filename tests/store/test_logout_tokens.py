"""Logout tokens (Back-Channel Logout 1.0, section 2.6): what is taken, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from gatebook.domain.federated_claims import FederationRefused
from gatebook.store import id_tokens
from gatebook.store.id_tokens import SKEW
from tests.store.provider_tokens import EXPECTED, KEY, NOW, claims, refused


def logout_claims(**changes: Any) -> dict[str, Any]:
    """A good logout token's claims, changed."""
    said = {
        "iss": EXPECTED.issuer,
        "aud": EXPECTED.client_id,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "one",
        "sub": "alice-1",
        "sid": "s-1",
        "events": {id_tokens.LOGOUT_EVENT: {}},
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ...}


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "JWT"}, {"sid": ...}),
        ({}, {"sub": ...}),
        ({"typ": "LOGOUT+JWT"}, {"events": {id_tokens.LOGOUT_EVENT: {"x": 1}, "other": 1}}),
    ],
)
def test_logout_tokens(headers: dict[str, Any], changes: dict[str, Any]) -> None:
    """By subject, by session, by both."""
    said = logout_claims(**changes)
    assert id_tokens.logout_token(KEY.sign(said, **headers), KEY.find, EXPECTED) == said


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        ({"typ": "at+jwt"}, {}),
        ({}, {"nonce": "n"}),
        ({}, {"nonce": None}),
        ({}, {"events": ...}),
        ({}, {"events": [id_tokens.LOGOUT_EVENT]}),
        ({}, {"events": {}}),
        ({}, {"events": {id_tokens.LOGOUT_EVENT: True}}),
        ({}, {"jti": ...}),
        ({}, {"jti": ""}),
        ({}, {"jti": 1}),
        ({}, {"sub": ..., "sid": ...}),
        ({}, {"sub": ""}),
        ({}, {"sid": ""}),
        ({}, {"sid": 1, "sub": "alice-1"}),
        ({}, {"iss": "https://evil.example"}),
        ({}, {"aud": "other"}),
        ({}, {"exp": ...}),
        ({}, {"iat": NOW - id_tokens.LOGOUT_WINDOW - SKEW - 1}),
    ],
)
def test_what_logs_nobody_out(headers: dict[str, Any], changes: dict[str, Any]) -> None:
    """Signed well, and still no logout token."""
    with pytest.raises(FederationRefused):
        id_tokens.logout_token(KEY.sign(logout_claims(**changes), **headers), KEY.find, EXPECTED)


def test_neither_is_the_other() -> None:
    """An ID token logs nobody out, and a logout token signs nobody in."""
    with pytest.raises(FederationRefused):
        id_tokens.logout_token(KEY.sign(claims()), KEY.find, EXPECTED)
    for headers in ({"typ": "logout+jwt"}, {"typ": "JWT"}):
        refused(KEY.sign(logout_claims(), **headers))
