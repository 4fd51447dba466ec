"""Class 16, injection through what should be opaque; class 23, effects through log and audit.

Ory CVE-2026-33503 to -33505; OpenBao CVE-2026-39946; Zitadel CVE-2026-44671; OpenBao
CVE-2026-55770; Vault CVE-2025-6000; Casdoor CVE-2026-6815.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import msgspec
import pytest

from tests.api.served import Served
from tests.attacks.tools import program, raw

SQL = [
    "' OR 1=1 --",
    "x'; DROP TABLE access_accounts; --",
    "') UNION SELECT 1,2,3 --",
    '" OR ""="',
    "%",
    "_",
    "!",
    "%' ESCAPE '\\",
    "\\",
    "$1",
    "?",
    "%s",
]


@pytest.mark.parametrize("text", SQL)
def test_text_is_text(served: Served, text: str) -> None:
    """What is searched for is searched for, and finds nothing else."""
    sent = quote(text)
    assert served.admin.get(f"/v1/accounts?q={sent}").body["items"] == []
    assert served.admin.get(f"/v1/accounts?role={sent}").body["items"] == []
    assert served.admin.get(f"/v1/audit?actor={sent}").body["items"] == []
    assert served.admin.get(f"/v1/audit?request_id={sent}").body["items"] == []
    assert served.admin.get(f"/v1/audit?type={sent}").status == 400
    assert served.admin.get(f"/v1/roles/{quote(text, safe='')}").status in (400, 404)
    assert served.admin.post(f"/v1/keys/{quote(text, safe='')}/retire", {}).status in (400, 404)


def test_forged_cursors(served: Served) -> None:
    """A cursor that was not given out is a 400: changed, cut, extended, made anew, or another's."""
    served.account()
    cursor = served.admin.get("/v1/accounts?limit=1").body["next"]
    mac, body = _parts(cursor)
    forged = [
        _joined(mac, msgspec.msgpack.encode((0,))),
        _joined(mac, msgspec.msgpack.encode(("0 OR 1=1",))),
        _joined(bytes(16), body),
        _joined(mac[:-1] + bytes([mac[-1] ^ 1]), body),
        _joined(b"", b""),
        _joined(mac, b""),
        _joined(mac, body + b"\x00"),
        cursor[:-2],
        "AAAA",
        "' OR 1=1 --",
        "-1",
        "0",
        "null",
        "A" * 512,
    ]
    for one in forged:
        if one:
            assert served.admin.get(f"/v1/accounts?after={quote(one)}").status == 400, one


def _parts(cursor: str) -> tuple[bytes, bytes]:
    raw_cursor = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return raw_cursor[:16], raw_cursor[16:]


def _joined(mac: bytes, body: bytes) -> str:
    return urlsafe_b64encode(mac + body).rstrip(b"=").decode()


CORRELATIONS = [
    b"X-Request-Id: a\\nb",
    b'X-Request-Id: "},{"planted":"yes',
    b"X-Request-Id: \x1b[2Jcleared",
    b"X-Request-Id: " + b"x" * 129,
    b"X-Request-Id: \xe2\x80\xa8planted",
    b"X-Request-Id: a b",
    b"X-Request-Id: ok\r\nX-Request-Id: planted two",
    b"traceparent: 00-" + b"0" * 32 + b"-0000000000000001-01",
    b"traceparent: ff-" + b"a" * 32 + b"-0000000000000001-01",
    b"traceparent: 00-" + b"A" * 32 + b"-0000000000000001-01",
    b"traceparent: 01-" + b"a" * 32 + b'-0000000000000001-01-"},{"planted":"yes',
    b'User-Agent: planted\x1b[2J"},{"planted":"yes',
    b"User-Agent: planted\xe2\x80\xa8" + b"x" * 10_000,
]


@pytest.mark.parametrize("line", CORRELATIONS, ids=lambda line: ascii(line[:40]))
def test_headers_in_the_log(served: Served, line: bytes) -> None:
    """Whatever a header says, the log is one JSON object a line and holds nothing it should not."""
    head = b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line + b"\r\n\r\n"
    said = raw(served, head)

    assert said.split(b" ")[1] in (b"200", b"400", b"431"), said
    assert b"planted" not in said
    text = served.deployment.log()
    assert "planted" not in text
    assert "\x1b" not in text
    for one in text.splitlines():
        assert isinstance(json.loads(one), dict), one


def test_names_in_the_audit(served: Served) -> None:
    """What people write stays one encoded value, or is refused."""
    for text in ("a\nb", "a\r\nb", "\x1b[2J", "a\u2028b", "a\u0085b", "x" * 201):
        body = {"username": "plain-enough", "type": "human", "display_name": text}
        assert served.admin.post("/v1/accounts", body).status == 400, ascii(text)
    quoted = 'Jane "},{"type":"forged" <script>alert(1)</script>'
    body = {"username": "quoted-jane", "type": "human", "display_name": quoted}
    created = served.admin.post("/v1/accounts", body)
    assert created.status == 201
    assert created.headers["Content-Type"] == "application/json"
    assert created.headers["X-Content-Type-Options"] == "nosniff"
    (event,) = served.events(f"&account={created.body['id']}&type=account.created")
    assert event["data"]["profile"]["display_name"] == quoted


def test_a_role_is_no_header(served: Served) -> None:
    """What the proxy check says of a caller is safe in a header."""
    body = {"username": "ünï-çödé,admin", "type": "human", "password": "violet tractor 9 hums"}
    assert served.admin.post("/v1/accounts", body).status == 201
    client = served.client.with_token(served.token(body["username"], body["password"]))
    headers = client.get("/v1/auth/check").headers
    assert headers["Gatebook-Username"].isascii()
    assert "," not in headers["Gatebook-Username"]
    for name in ("a,admin", "a b", "a\r\nGatebook-Roles: admin"):
        answer = served.admin.put(f"/v1/roles/{quote(name, safe='')}", {"permissions": []})
        assert answer.status in (400, 404)


def test_a_name_is_no_markup(served: Served) -> None:
    """The program shows a name as it is: none is hidden, coloured, or breaks the table."""
    hidden = "[conceal]hidden-one"
    for username, shown in ((hidden, "[/x] [bold]not bold"), ("marked-up", "[/]")):
        body = {"username": username, "type": "human", "display_name": shown}
        account = served.admin.post("/v1/accounts", body)
        assert account.status == 201, account.raw
        told = program(served.deployment, "account", "show", account.body["id"])
        assert told.returncode == 0, told.stderr[-300:]
        assert shown in told.stdout
        assert username in told.stdout
    listed = program(served.deployment, "account", "list", "-q", "hidden-one")
    assert hidden in listed.stdout, listed.stderr[-300:]


def test_a_servers_words_are_printed_plainly() -> None:
    """A hostile server does not steer the terminal of whoever asks it."""

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps(
                {"title": "no", "detail": "\x1b]0;owned\x07\x1b[2Jhello\u202e"}
            ).encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with HTTPServer(("127.0.0.1", 0), Hostile) as hostile:
        thread = threading.Thread(target=hostile.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{hostile.server_port}"
            told = program(None, "--server", url, "whoami", environment={"GATEBOOK_TOKEN": "none"})
        finally:
            hostile.shutdown()
            thread.join(10)

    assert told.returncode == 1
    assert "hello" in told.stderr
    assert all(character.isprintable() for character in told.stderr.strip()), ascii(told.stderr)
