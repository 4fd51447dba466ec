"""A real Chromium over the plain W3C WebDriver protocol, with its virtual authenticators."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def required(name: str) -> str:
    """The path of a program. Without it the test is skipped, except in CI, where it fails."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed: apt-get install chromium chromium-driver")
        pytest.skip(f"{name} is not installed")
    return found


class Browser:
    """One session of a browser."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._path = f"/session/{session}"

    def command(self, method: str, path: str, body: Any = None) -> Any:
        """A WebDriver command's value."""
        answer = self._client.request(method, self._path + path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    def open(self, url: str) -> None:
        self.command("POST", "/url", {"url": url})

    def run(self, script: str, *given: Any) -> Any:
        """What an async script gives to its last argument."""
        body = {"script": script, "args": list(given)}
        return self.command("POST", "/execute/async", body)

    def cdp(self, command: str, **params: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self.command("POST", "/goog/cdp/execute", {"cmd": command, "params": params})


class Device:
    """A virtual authenticator of a browser."""

    def __init__(self, browser: Browser, *, verifies: bool = True, transport: str = "internal"):
        self._browser = browser
        browser.cdp("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": transport,
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        made = browser.cdp("WebAuthn.addVirtualAuthenticator", options=options)
        self.id = made["authenticatorId"]

    def remove(self) -> None:
        self._browser.cdp("WebAuthn.removeVirtualAuthenticator", authenticatorId=self.id)

    def credentials(self) -> list[dict[str, Any]]:
        found = self._browser.cdp("WebAuthn.getCredentials", authenticatorId=self.id)
        return list(found["credentials"])

    def add(self, credential: dict[str, Any]) -> None:
        """Puts a credential in, as a thief with a copy would."""
        self._browser.cdp("WebAuthn.addCredential", authenticatorId=self.id, credential=credential)

    def forget(self, credential_id: str) -> None:
        self._browser.cdp(
            "WebAuthn.removeCredential", authenticatorId=self.id, credentialId=credential_id
        )

    def set(self, command: str, **params: Any) -> None:
        """`setUserVerified`, `setResponseOverrideBits`."""
        self._browser.cdp(f"WebAuthn.{command}", authenticatorId=self.id, **params)


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; driver and browser end with the block."""
    driver, binary, port = required("chromedriver"), required("chromium"), free_port()
    with (directory / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            _wait(client)
            arguments = [*FLAGS, f"--user-data-dir={directory / 'profile'}"]
            always = {
                "goog:chromeOptions": {"binary": binary, "args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            body = {"capabilities": {"alwaysMatch": always}}
            answer = client.post("/session", json=body)
            assert answer.status_code == 200, answer.text
            session = answer.json()["value"]["sessionId"]
            try:
                client.post(f"/session/{session}/timeouts", json={"script": 20_000})
                yield Browser(client, session)
            finally:
                client.delete(f"/session/{session}")
    finally:
        process.terminate()
        process.wait(20)


def _wait(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if client.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("chromedriver does not answer")
