"""Passkeys in a real Chromium: its own JSON, its own checks, its own authenticators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.factors import challenged, claims
from tests.api.served import PASSWORD, Deployment, Served
from tests.browser.webdriver import Browser, Device, chromium, free_port

CALL = """
const [path, body, token, done] = arguments;
const headers = {"Content-Type": "application/json"};
if (token) headers["Authorization"] = "Bearer " + token;
fetch(path, {method: "POST", headers, body: JSON.stringify(body)})
  .then(async answer => done({status: answer.status, body: await answer.json()}));
"""
CREATE = """
const [options, done] = arguments;
const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey);
navigator.credentials.create({publicKey})
  .then(made => done({credential: made.toJSON()}))
  .catch(error => done({error: error.name}));
"""
GET = """
const [options, done] = arguments;
const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
navigator.credentials.get({publicKey})
  .then(used => done({credential: used.toJSON()}))
  .catch(error => done({error: error.name}));
"""


class Page:
    """A page of the site in the browser."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.browser, self.origin = browser, origin
        browser.open(f"{origin}/v1/health")

    def post(self, path: str, body: Any, token: str = "") -> tuple[int, Any]:
        answer = self.browser.run(CALL, path, body, token)
        return answer["status"], answer["body"]

    def register(self, token: str, name: str) -> tuple[int, Any]:
        """A whole registration."""
        status, options = self.post("/v1/auth/passkeys/register/options", {}, token)
        assert status == 200, options
        made = self.browser.run(CREATE, options)
        if "error" in made:
            return 0, made["error"]
        body = {"credential": made["credential"], "name": name}
        return self.post("/v1/auth/passkeys/register/verify", body, token)

    def login(self, mfa_token: str | None = None) -> tuple[int, Any]:
        """A whole sign-in; without a name unless it is a second step."""
        asked = {"mfa_token": mfa_token} if mfa_token else {}
        status, options = self.post("/v1/auth/passkeys/login/options", asked)
        assert status == 200, options
        used = self.browser.run(GET, options)
        if "error" in used:
            return 0, used["error"]
        body = asked | {"credential": used["credential"]}
        return self.post("/v1/auth/passkeys/login/verify", body)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for this file."""
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def named(directory: Path) -> Deployment:
    """A deployment under http://localhost on a port of its own."""
    port = free_port()
    made = Deployment(
        directory,
        "sqlite:///gatebook.db",
        server=f'public_url = "http://localhost:{port}"\nworkers = 1',
    )
    text = made.config.read_text()
    made.config.write_text(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"'))
    made.create()
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that pages of http://localhost come from."""
    with named(tmp_path_factory.mktemp("site")).served() as server:
        yield server


@pytest.fixture
def page(browser: Browser, site: Served) -> Page:
    """A page of the server's own origin."""
    return Page(browser, f"http://localhost:{site.client.port}")


@pytest.fixture
def device(browser: Browser, page: Page) -> Iterator[Device]:
    """A virtual authenticator that verifies its user."""
    made = Device(browser)
    yield made
    made.remove()


def person(site: Served) -> tuple[Any, str]:
    account = site.account()
    return account, site.token(account["username"])


def test_register_and_sign_in_without_a_name(site: Served, page: Page, device: Device) -> None:
    """The browser takes our options, we take its answers; its user is verified."""
    account, token = person(site)
    status, made = page.register(token, "chromium")
    assert status == 201, made
    assert [one["isResidentCredential"] for one in device.credentials()] == [True]

    status, signed_in = page.login()

    assert status == 200, signed_in
    assert signed_in["account_id"] == account["id"]
    assert claims(site.client, signed_in["access_token"])["acr"] == "aal2"
    assert page.register(token, "again") == (0, "InvalidStateError")


def test_two_passkeys_and_the_second_step(site: Served, page: Page, device: Device) -> None:
    """Both of an account's passkeys finish a sign-in by password, each from its own device."""
    account, token = person(site)
    assert page.register(token, "first")[0] == 201
    first = device.credentials()
    for one in first:
        device.forget(one["credentialId"])
    assert page.register(token, "second")[0] == 201
    second_step = page.login(challenged(site.client, account["username"]))
    assert second_step[0] == 200, second_step
    for one in device.credentials():
        device.forget(one["credentialId"])
    for one in first:
        device.add(one)
    again = page.login(challenged(site.client, account["username"]))
    assert again[0] == 200, again
    assert "mfa" in claims(site.client, again[1]["access_token"])["amr"]
    listed = site.client.with_token(token).get("/v1/auth/passkeys").body["items"]
    assert [one["name"] for one in listed] == ["first", "second"]


def test_a_user_who_is_not_verified(site: Served, page: Page, device: Device) -> None:
    """The browser itself refuses; and so do we when the bit is missing from what it signed."""
    _, token = person(site)
    assert page.register(token, "mine")[0] == 201
    device.set("setUserVerified", isUserVerified=False)
    assert page.login() == (0, "NotAllowedError")
    device.set("setUserVerified", isUserVerified=True)
    device.set("setResponseOverrideBits", isBadUV=True)
    assert page.login()[0] == 401
    device.set("setResponseOverrideBits", isBadUV=False, isBadUP=True)
    assert page.login()[0] == 401
    device.set("setResponseOverrideBits", isBadUP=False)
    assert page.login()[0] == 200


def test_a_bogus_signature(site: Served, page: Page, device: Device) -> None:
    """Refused and recorded; the next right one signs in."""
    account, token = person(site)
    assert page.register(token, "mine")[0] == 201
    device.set("setResponseOverrideBits", isBogusSignature=True)
    assert page.login()[0] == 401
    device.set("setResponseOverrideBits", isBogusSignature=False)
    assert page.login()[0] == 200
    failed = site.events(f"&account={account['id']}&type=login.failed")
    assert [event["data"]["cause"] for event in failed] == ["bad-assertion"]


def test_a_cloned_passkey(site: Served, page: Page, device: Device) -> None:
    """A copy that was taken before two uses is behind: refused and told."""
    account, token = person(site)
    assert page.register(token, "mine")[0] == 201
    [copy] = device.credentials()
    assert page.login()[0] == 200
    assert page.login()[0] == 200
    device.forget(copy["credentialId"])
    device.add(copy)
    assert page.login()[0] == 401
    suspected = site.events(f"&account={account['id']}&type=passkey.clone_suspected")
    assert len(suspected) == 1


def test_a_page_of_another_origin(
    site: Served, page: Page, device: Device, browser: Browser, tmp_path: Path
) -> None:
    """A page on another port of the same host gets a signature; we do not take it."""
    _, token = person(site)
    assert page.register(token, "mine")[0] == 201
    with named(tmp_path).served() as other:
        Page(browser, f"http://localhost:{other.client.port}")
        options = site.client.post("/v1/auth/passkeys/login/options", {}).body
        used = browser.run(GET, options)
        assert "credential" in used, used
        body = {"credential": used["credential"]}
        answer = site.client.post("/v1/auth/passkeys/login/verify", body)
        assert answer.status == 401
    browser.open(f"{page.origin}/v1/health")
    assert page.login()[0] == 200


def test_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    """What was registered before a restart signs in after it, in the same browser."""
    own = named(tmp_path)
    with own.served() as server:
        page = Page(browser, f"http://localhost:{server.client.port}")
        device = Device(browser)
        account = server.account()
        token = server.client.login(account["username"], PASSWORD)["access_token"]
        assert page.register(token, "mine")[0] == 201
    with own.served() as server:
        status, signed_in = page.login()
        assert status == 200, signed_in
        assert signed_in["account_id"] == account["id"]
    device.remove()
