"""Passkeys over the wire: registered, used, counted, removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.api.factors import challenged, claims, enrol
from tests.api.passkeys import (
    LOGIN,
    REGISTER,
    login,
    register,
    relying_party,
    second,
    with_passkey,
)
from tests.api.served import Deployment, Served
from tests.attacks.tools import at_once
from tests.authenticator import BE, BS, UV, Authenticator

site = pytest.fixture(scope="module", params=["sqlite", "postgresql"])(relying_party)
"""A server, shared by this file."""


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
@pytest.mark.parametrize("attestation", ["none", "packed"])
def test_register_and_sign_in_without_a_name(
    site: Served, algorithm: str, attestation: str
) -> None:
    """The passkey says who it is; verified by its device it is two factors."""
    account, client, device = with_passkey(site, algorithm=algorithm, attestation=attestation)

    signed_in = login(site.client, device)

    assert signed_in.body["account_id"] == account["id"]
    said = claims(site.client, signed_in.body["access_token"])
    assert (said["amr"], said["acr"]) == (["hwk", "user", "mfa"], "aal2")
    [listed] = client.get("/v1/auth/passkeys").body["items"]
    assert (listed["name"], listed["backed_up"]) == ("a device", False)
    assert listed["last_used_at"] is not None
    [event] = site.events(f"&account={account['id']}&type=passkey.registered")
    assert event["data"]["attestation"] == attestation


def test_options_are_what_a_browser_takes(site: Served) -> None:
    """Discoverable, verified, bound to the name, without those that exist already."""
    account, client, _ = with_passkey(site)
    public = client.post(f"{REGISTER}/options").body["publicKey"]

    assert public["rp"] == {"id": "localhost", "name": "Gatebook"}
    assert public["user"]["name"] == account["username"]
    assert public["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert [one["alg"] for one in public["pubKeyCredParams"]] == [-7, -8, -257]
    assert [one["type"] for one in public["excludeCredentials"]] == ["public-key"]
    asked = site.client.post(f"{LOGIN}/options", {}).body["publicKey"]
    assert (asked["allowCredentials"], asked["userVerification"]) == ([], "required")
    token = challenged(site.client, account["username"])
    asked = site.client.post(f"{LOGIN}/options", {"mfa_token": token}).body["publicKey"]
    assert len(asked["allowCredentials"]) == 1
    assert asked["userVerification"] == "preferred"


def test_failures_are_bounded(site: Served) -> None:
    """Twenty are recorded one by one, more are only counted; the owner is not locked out."""
    account, _, device = with_passkey(site)
    for _ in range(25):
        assert login(site.client, device, bad_signature=True).status == 401
    failed = site.events(f"&account={account['id']}&type=login.failed")
    assert len(failed) == 20
    assert login(site.client, device).status == 200


def test_a_count_that_does_not_grow(site: Served) -> None:
    """Refused and recorded, the count in force stays; a device that does not count is let in."""
    account, _, device = with_passkey(site)
    assert login(site.client, device, count=7).status == 200
    for count in (7, 6, 0):
        assert login(site.client, device, count=count).status == 401
    assert login(site.client, device, count=8).status == 200
    suspected = site.events(f"&account={account['id']}&type=passkey.clone_suspected")
    assert [(e["data"]["sign_count"], e["data"]["received"]) for e in suspected] == [
        (7, 7), (7, 6), (7, 0),
    ]  # fmt: skip
    _, _, silent = with_passkey(site)
    assert [login(site.client, silent, count=0).status for _ in range(2)] == [200, 200]


def test_backup_changes_are_recorded(site: Served) -> None:
    """A synced passkey says when it is backed up; eligibility may not change."""
    account, client, device = with_passkey(site, flags=BE)
    answer = login(site.client, device, with_flags=BS)
    assert claims(site.client, answer.body["access_token"])["amr"] == ["swk", "user", "mfa"]
    assert client.get("/v1/auth/passkeys").body["items"][0]["backed_up"] is True
    assert login(site.client, device, with_flags=BS).status == 200
    changed = site.events(f"&account={account['id']}&type=passkey.backup_changed")
    assert [event["data"]["backed_up"] for event in changed] == [True]
    assert login(site.client, device, without=BE).status == 401


def test_a_passkey_as_the_second_factor(site: Served) -> None:
    """Without verification it is possession only; with the password that makes two factors."""
    account, _, device = with_passkey(site)
    name = account["username"]
    answer = second(site.client, challenged(site.client, name), device, without=UV)
    said = claims(site.client, answer.body["access_token"])
    assert (said["amr"], said["acr"]) == (["pwd", "hwk", "mfa"], "aal2")
    token = challenged(site.client, name)
    assert second(site.client, token, device, user_handle=None).status == 200
    assert second_refused(site, token, device)
    _, _, other = with_passkey(site)
    assert second(site.client, challenged(site.client, name), other).status == 401


def second_refused(site: Served, token: str, device: Authenticator) -> bool:
    """A finished sign-in gives no options any more."""
    return site.client.post(f"{LOGIN}/options", {"mfa_token": token}).status == 401


def test_challenges_belong_to_their_place(site: Served) -> None:
    """A challenge of another session, ceremony or sign-in is refused; so is one used before."""
    account, client, device = with_passkey(site)
    _, other = site.signed_in()
    options = client.post(f"{REGISTER}/options").body
    credential = Authenticator().create(options)
    assert other.post(f"{REGISTER}/verify", {"credential": credential}).status == 400
    assert client.post(f"{REGISTER}/verify", {"credential": credential}).status == 201
    assert client.post(f"{REGISTER}/verify", {"credential": credential}).status == 400
    asked = device.get({"publicKey": {"challenge": options["publicKey"]["challenge"]}})
    assert site.client.post(f"{LOGIN}/verify", {"credential": asked}).status == 401

    token = challenged(site.client, account["username"])
    plain = site.client.post(f"{LOGIN}/options", {}).body
    bound = site.client.post(f"{LOGIN}/options", {"mfa_token": token}).body
    body = {"credential": device.get(plain), "mfa_token": token}
    assert site.client.post(f"{LOGIN}/verify", body).status == 401
    assert site.client.post(f"{LOGIN}/verify", {"credential": device.get(bound)}).status == 401
    body = {"credential": device.get(bound), "mfa_token": token}
    assert site.client.post(f"{LOGIN}/verify", body).status == 200
    assert site.client.post(f"{LOGIN}/verify", body).status == 401


def test_forty_racing_uses_of_one_challenge(site: Served) -> None:
    """Exactly one opens a session."""
    account, _, device = with_passkey(site)
    options = site.client.post(f"{LOGIN}/options", {}).body
    bodies = [{"credential": device.get(options)} for _ in range(40)]

    answers = at_once(40, lambda n: site.client.post(f"{LOGIN}/verify", bodies[n]))

    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.status for answer in answers} <= {200, 401, 409}
    assert len(site.events(f"&account={account['id']}&type=passkey.used")) == 1


def test_an_id_belongs_to_one_account(site: Served) -> None:
    """Neither another account nor its own registers the same id again (step 27)."""
    _, client, device = with_passkey(site)
    _, other = site.signed_in()
    assert register(other, device).status == 409
    [listed] = client.get("/v1/auth/passkeys").body["items"]
    assert client.delete(f"/v1/auth/passkeys/{listed['id']}").status == 204
    assert register(client, device).status == 409


def test_a_removed_passkey_signs_nobody_in(site: Served) -> None:
    """Nor does anybody remove another's."""
    account, client, device = with_passkey(site)
    _, other = site.signed_in()
    [listed] = client.get("/v1/auth/passkeys").body["items"]
    assert other.delete(f"/v1/auth/passkeys/{listed['id']}").status == 404
    assert client.delete(f"/v1/auth/passkeys/{listed['id']}").status == 204

    assert login(site.client, device).status == 401
    assert client.get("/v1/auth/passkeys").body["items"] == []
    assert site.client.login(account["username"], "violet tractor hums at dawn 42")


def test_no_sign_in_after_the_removal_was_answered(site: Served) -> None:
    """Sign-ins race a removal: what began after its answer is refused."""
    _, client, device = with_passkey(site)
    [listed] = client.get("/v1/auth/passkeys").body["items"]
    options = [site.client.post(f"{LOGIN}/options", {}).body for _ in range(12)]
    bodies = [{"credential": device.get(one)} for one in options]
    gone = threading.Event()
    late: list[int] = []

    def run(number: int) -> None:
        if number == 0:
            assert client.delete(f"/v1/auth/passkeys/{listed['id']}").status == 204
            gone.set()
            return
        after = gone.is_set()
        status = site.client.post(f"{LOGIN}/verify", bodies[number - 1]).status
        if after:
            late.append(status)

    at_once(10, run)
    late += [site.client.post(f"{LOGIN}/verify", body).status for body in bodies[10:]]
    assert set(late) == {401}


def test_a_deactivated_account(site: Served) -> None:
    """Its passkey is refused from the moment that was answered."""
    account, _, device = with_passkey(site)
    path = f"/v1/accounts/{account['id']}"
    assert site.admin.patch(path, {"status": "inactive"}).status == 200
    assert login(site.client, device).status == 401
    assert site.admin.patch(path, {"status": "active"}).status == 200
    assert login(site.client, device).status == 200


def test_at_most_twenty(site: Served) -> None:
    """The twenty-first is refused; names are bounded."""
    _, client = site.signed_in()
    assert register(client, Authenticator(), "x" * 65).status == 400
    assert register(client, Authenticator(), "two\nlines").status == 400
    for _ in range(20):
        assert register(client, Authenticator()).status == 201
    assert register(client, Authenticator()).status == 409


def test_totp_and_passkey_beside_each_other(site: Served) -> None:
    """Both are offered; a passkey alone does not ask for the code."""
    account, client, device = with_passkey(site)
    enrol(client)
    body = {"username": account["username"], "password": "violet tractor hums at dawn 42"}
    refused = site.client.post("/v1/auth/login", body)
    assert refused.body["methods"] == ["totp", "passkey"]
    assert login(site.client, device).status == 200


def test_without_a_name_there_are_no_passkeys(tmp_path: Path) -> None:
    """An IP address is no relying party: a clear conflict."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    deployment.create()
    with deployment.served() as server:
        for answer in (
            server.admin.post(f"{REGISTER}/options"),
            server.client.post(f"{LOGIN}/options", {}),
        ):
            assert answer.status == 409
            assert "rp_id" in answer.body["detail"]
