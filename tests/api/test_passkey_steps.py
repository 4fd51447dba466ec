"""Sections 7.1 and 7.2 of WebAuthn Level 3, step by step: one thing wrong at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.passkeys import LOGIN, login, register, relying_party, with_passkey
from tests.api.served import Client, Served
from tests.authenticator import BE, BS, ORIGIN, UP, UV, Authenticator

site = pytest.fixture(scope="module", params=["sqlite", "postgresql"])(relying_party)
"""A server, shared by this file."""


OTHER = Authenticator()
WRONG_REGISTRATIONS: dict[str, dict[str, Any]] = {
    "type (step 7)": {"type": "webauthn.get"},
    "challenge (8)": {"challenge": "AAAA"},
    "challenge of its own (8)": {"challenge": "A" * 75},
    "no base64url (8)": {"challenge": "!!!!"},
    "origin (9)": {"origin": "http://localhost.evil.example:8440"},
    "port (9)": {"origin": "http://localhost:8441"},
    "scheme (9)": {"origin": "https://localhost:8440"},
    "path (9)": {"origin": "http://localhost:8440/"},
    "null origin (9)": {"origin": "null"},
    "origin of no text (9)": {"origin": None},
    "frame (10)": {"cross_origin": True},
    "frame, other type (10)": {"cross_origin": "false"},
    "top origin (11)": {"top_origin": "https://evil.example"},
    "relying party (14)": {"rp_id": "evil.example"},
    "presence (15)": {"without": UP},
    "verification (16)": {"without": UV},
    "backup state (17)": {"with_flags": BS},
    "algorithm (20)": {"cose": OTHER.cose(members={3: -35})},
    "curve (20)": {"cose": OTHER.cose(members={-1: 2})},
    "key type (20)": {"cose": OTHER.cose(members={1: 3})},
    "no key": {"cose": b""},
    "uncompressed point": {"cose": b"\x04" + bytes(64)},
    "no format (22)": {"fmt": "made-up"},
    "statement (23)": {"statement": {"sig": b"x", "alg": -7}},
    "other id": {"credential_id": b"x" * 32},
    "long id (26)": {"credential_id": b"x" * 1023, "attested_id": b"x" * 1024},
    "leftover": {"tail": b"junk"},
    "attestation no CBOR (13)": {"attestation_object": b"\xff\xff"},
    "attestation no map (13)": {"attestation_object": b"\x01"},
    "attestation empty map (13)": {"attestation_object": b"\xa0"},
    "client data no JSON (6)": {"client_data": lambda raw: raw[:-1]},
    "client data no UTF-8 (5)": {"client_data": lambda raw: raw + b"\xff"},
    "client data list (6)": {"client_data": lambda raw: b"[]"},
    "member twice (6)": {"client_data": lambda raw: raw[:-1] + b', "type": "webauthn.create"}'},
    "deep (6)": {"client_data": lambda raw: b"[" * 5000},
}


@pytest.mark.parametrize("wrong", WRONG_REGISTRATIONS.values(), ids=WRONG_REGISTRATIONS)
def test_each_step_of_a_registration(site: Served, wrong: dict[str, Any]) -> None:
    """Section 7.1: one thing wrong, and there is no passkey."""
    person = registrar(site)
    answer = register(person, Authenticator(), **wrong)
    assert answer.status == 400, answer.raw
    assert person.get("/v1/auth/passkeys").body["items"] == []


def registrar(site: Served) -> Client:
    """One person for all that is refused."""
    known = getattr(site, "registrar", None)
    if known is None:
        _, known = site.signed_in()
        site.registrar = known  # type: ignore[attr-defined]  # kept with its server
    return known


@pytest.mark.parametrize("wrong", [{"bad_statement": True}, {"statement_alg": -257}], ids=str)
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_self_attestation_is_verified(site: Served, algorithm: str, wrong: dict[str, Any]) -> None:
    """A packed statement that its own key did not sign is refused (step 23)."""
    device = Authenticator(algorithm, attestation="packed")
    assert register(registrar(site), device, **wrong).status == 400


WRONG_LOGINS: dict[str, dict[str, Any]] = {
    "unknown id (6)": {"credential_id": b"y" * 32},
    "no handle (6)": {"user_handle": None},
    "another's handle (6)": {"user_handle": bytes(16)},
    "long handle (6)": {"user_handle": bytes(64)},
    "type (10)": {"type": "webauthn.create"},
    "challenge (11)": {"challenge": "AAAA"},
    "origin (12)": {"origin": "http://localhost:8441"},
    "frame (13)": {"cross_origin": True},
    "top origin (14)": {"top_origin": ORIGIN},
    "relying party (15)": {"rp_id": "evil.example"},
    "presence (16)": {"without": UP},
    "backup state (18)": {"with_flags": BS},
    "leftover (21)": {"tail": b"junk"},
    "client data (9)": {"client_data": lambda raw: raw[:-1]},
}
KNOWN_FAILURES: dict[str, dict[str, Any]] = {
    "verification (17)": {"without": UV},
    "backup eligibility (19)": {"with_flags": BE},
    "signature (23)": {"bad_signature": True},
    "no signature (23)": {"signature": b"0"},
    "count (24)": {"count": 0},
}


@pytest.mark.parametrize("wrong", WRONG_LOGINS.values(), ids=WRONG_LOGINS)
def test_each_step_of_a_sign_in(site: Served, wrong: dict[str, Any]) -> None:
    """Section 7.2: one thing wrong, no session, and nothing recorded that a stranger could grow."""
    _, _, device = standing(site)
    before = site.head()
    answer = login(site.client, device, **wrong)
    assert answer.status == 401, answer.raw
    assert answer.body["type"].endswith("invalid-credentials")
    assert site.head() == before


@pytest.mark.parametrize("wrong", KNOWN_FAILURES.values(), ids=KNOWN_FAILURES)
def test_a_known_passkey_that_fails_is_recorded(site: Served, wrong: dict[str, Any]) -> None:
    """One event each, no lock; the next right use signs in."""
    account, _, device = standing(site)
    before = site.head()
    assert login(site.client, device, **wrong).status == 401
    failed = site.events(f"&account={account['id']}&type=login.failed")
    failed = [event for event in failed if event["position"] > before]
    assert [event["data"]["cause"] for event in failed] == ["bad-assertion"]
    assert failed[0]["data"]["locked_until"] is None
    assert login(site.client, device).status == 200


def standing(site: Served) -> tuple[Any, Client, Authenticator]:
    """One account with a passkey that was used, for all that is refused."""
    known = getattr(site, "standing", None)
    if known is None:
        known = with_passkey(site)
        assert login(site.client, known[2]).status == 200
        site.standing = known  # type: ignore[attr-defined]  # kept with its server
    return known


def test_malformed_credentials(site: Served) -> None:
    """Whatever a member is replaced by, the answer is 400 or 401."""
    _, _, device = standing(site)
    options = site.client.post(f"{LOGIN}/options", {}).body
    good = device.get(options)
    for name in ("id", "rawId", "type", "response"):
        for value in (None, "", "A", "AB==", "é", 7, [], {}, "x" * 5000):
            body = {"credential": good | {name: value}}
            assert site.client.post(f"{LOGIN}/verify", body).status in (400, 401)
    for name in good["response"]:
        for value in ("", "A", "AB", "AB==", "é", 7, [], {}, "A" * 50_000, "_" * 300):
            body = {"credential": good | {"response": good["response"] | {name: value}}}
            assert site.client.post(f"{LOGIN}/verify", body).status in (400, 401)
    assert login(site.client, device).status == 200
