"""Class 12, trusted headers are forged.

Zitadel CVE-2025-64101; oauth2-proxy CVE-2025-64484, CVE-2026-40575; Oathkeeper CVE-2026-33495.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served
from tests.attacks.tools import program, raw

FORGED = {
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=https",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "6.6.6.6",
    "X-Client-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    "X-Original-URL": "/v1/audit",
    "X-Rewrite-URL": "/v1/audit",
    "X-HTTP-Method-Override": "DELETE",
    "X-Method-Override": "DELETE",
    "X-User": "first-admin",
    "X-Remote-User": "first-admin",
    "Remote-User": "first-admin",
    "Gatebook-Account": "00000000-0000-0000-0000-000000000000",
    "Gatebook-Roles": "admin",
}


def test_no_header_says_who_or_from_where(served: Served) -> None:
    """A caller is his token, his address the socket's, his address the configured one."""
    account, client = served.signed_in()
    assert client.get("/v1/auth/me", headers=FORGED).body["account"]["id"] == account["id"]
    assert client.get("/v1/accounts", headers=FORGED).status == 403
    assert client.get("/v1/auth/check", headers=FORGED).headers["Gatebook-Roles"] == ""
    assert served.client.get("/v1/auth/me", headers=FORGED).status == 401
    body = {"username": account["username"], "password": "a wrong tractor 12"}
    headers = {**FORGED, "X-Request-Id": f"forged-{account['id']}"}
    assert served.client.post("/v1/auth/login", body, headers=headers).status == 401
    (event,) = served.events(f"&request_id=forged-{account['id']}")
    assert event["source"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1@evil.example"])
def test_host(served: Served, host: str) -> None:
    """No link, issuer, location or problem type is made of the Host that was sent."""
    for path in (
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/openapi.json",
        "/v1/nothing",
    ):
        answer = served.client.get(path, headers={**FORGED, "Host": host})
        assert b"evil" not in answer.raw, path
        assert "evil" not in str(answer.headers)


def test_one_host(served: Served) -> None:
    """None, two, or one in the request line that differs does not pass as another."""
    for head in (
        b"GET /v1/health HTTP/1.1\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ):
        assert raw(served, head).startswith(b"HTTP/1.1 400"), head
    absolute = (
        b"GET http://evil.example/.well-known/openid-configuration HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert b"evil" not in raw(served, absolute, wait=1)


def test_hops(tmp_path: Path) -> None:
    """Behind a trusted proxy the rightmost hop that is no proxy counts, whatever stands left."""
    more = 'workers = 1\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8"]'
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server=more)
    own.create()
    hops = {
        "9.9.9.9": "9.9.9.9",
        "6.6.6.6, 9.9.9.9": "9.9.9.9",
        "6.6.6.6, 9.9.9.9, 10.1.2.3": "9.9.9.9",
        "9.9.9.9, nonsense": "127.0.0.1",
        "nonsense, 9.9.9.9": "9.9.9.9",
        "127.0.0.1, 10.0.0.1": "127.0.0.1",
        "": "127.0.0.1",
        ",,,,": "127.0.0.1",
        "6.6.6.6," * 400 + "9.9.9.9": "9.9.9.9",
    }
    with own.served() as server:
        for number, (sent, meant) in enumerate(hops.items()):
            headers = {"X-Forwarded-For": sent, "X-Request-Id": f"hop-{number}"}
            body = {"username": f"nobody-{number}", "password": "x" * 12}
            server.client.post("/v1/auth/login", body, headers=headers)
            (event,) = server.events(f"&request_id=hop-{number}")
            assert event["source"]["ip"] == meant, sent


def test_a_saved_token_goes_to_its_own_server_only(served: Served, tmp_path: Path) -> None:
    """Signed in to one server, the program shows its token to no other."""
    seen: list[str | None] = []

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    environment = {"XDG_STATE_HOME": str(tmp_path), "GATEBOOK_TOKEN": ""}
    good = f"http://{served.client.host}:{served.client.port}"
    words = ("--server", good, "login", "--username", ADMIN, "--password-stdin")
    signed_in = program(None, *words, given=f"{ADMIN_PASSWORD}\n", environment=environment)
    assert signed_in.returncode == 0, signed_in.stderr
    kept = tmp_path / "gatebook" / "session.json"
    assert kept.stat().st_mode & 0o077 == 0
    token = json.loads(kept.read_text())["access_token"]
    with HTTPServer(("127.0.0.1", 0), Hostile) as hostile:
        thread = threading.Thread(target=hostile.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{hostile.server_port}"
            outcome = program(None, "--server", url, "whoami", environment=environment)
        finally:
            hostile.shutdown()
            thread.join(10)

    assert f"Bearer {token}" not in seen
    assert outcome.returncode != 0
    assert program(None, "--server", good, "whoami", environment=environment).returncode == 0
