"""What is malformed is a clear 4xx, never a 500, never an event, and never a second answer."""

from __future__ import annotations

import gzip
import json
import socket
import time

import pytest

from tests.api.served import Served

DEEP = b'{"username":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
LOGIN = "/v1/auth/login"

BODIES = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "string": b'"x"',
    "number": b"1",
    "broken": b'{"username":',
    "trailing": b'{"username":"a","password":"b"} x',
    "two documents": b'{"username":"a","password":"b"}{}',
    "deep": DEEP,
    "deep and unknown": DEEP.replace(b"username", b"x"),
    "huge number": b'{"username":' + b"9" * 60_000 + b"}",
    "huge exponent": b'{"username":1e999999}',
    "NaN": b'{"username":NaN,"password":"b"}',
    "Infinity": b'{"username":"a","password":-Infinity}',
    "lone surrogate": b'{"username":"\\ud800","password":"b"}',
    "reversed surrogates": b'{"username":"\\udc00\\ud800","password":"b"}',
    "escaped NUL": b'{"username":"a\\u0000","password":"b"}',
    "raw NUL": b'{"username":"a\x00","password":"b"}',
    "bad UTF-8": b'{"username":"\xff","password":"b"}',
    "overlong UTF-8": b'{"username":"\xc0\xaf","password":"b"}',
    "UTF-8 surrogate": b'{"username":"\xed\xa0\x80","password":"b"}',
    "UTF-16": '{"username":"a","password":"b"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"username":"a","password":"b"}',
    "doubled member": b'{"username":"a","username":"b","password":"c"}',
    "doubled by escape": b'{"username":"a","user\\u006eame":"b","password":"c"}',
    "single quotes": b"{'username':'a'}",
    "comment": b'{"username":"a","password":"b"/**/}',
    "trailing comma": b'{"username":"a","password":"b",}',
    "control character": b'{"username":"a\nb","password":"b"}',
    "prototype": b'{"username":"a","password":"b","__proto__":{}}',
    "gzip": gzip.compress(b'{"username":"a","password":"b"}'),
    "spaces": b" " * 60_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(served: Served, name: str) -> None:
    """A body that is not exactly what is due is a 400, at once, and no event."""
    before = served.head()
    began = time.monotonic()
    answer = served.client.post(LOGIN, raw=BODIES[name])

    assert answer.status == 400, answer.raw
    assert answer.body["type"].endswith("/problems/invalid-request")
    assert time.monotonic() - began < 2
    assert served.head() == before


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json, application/json",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "",
        "*/*",
    ],
)
def test_media_types(served: Served, media_type: str) -> None:
    """Anything but JSON in UTF-8 is a 415."""
    body = json.dumps({"username": "a", "password": "b"}).encode()
    answer = served.client.post(LOGIN, raw=body, headers={"Content-Type": media_type})

    assert answer.status == 415


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_is_json(served: Served, media_type: str) -> None:
    """Case and an explicit UTF-8 do not matter."""
    body = json.dumps({"username": "a", "password": "b"}).encode()

    assert served.client.post(LOGIN, raw=body, headers={"Content-Type": media_type}).status == 401


@pytest.mark.parametrize("size", [65_537, 10_000_000])
def test_too_large(served: Served, size: int) -> None:
    """A body beyond 64 KiB is refused by what it says of its length, before it is sent."""
    head = (
        f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    )

    assert raw(served, head.encode()).startswith(b"HTTP/1.1 413")


def test_too_large_in_chunks(served: Served) -> None:
    """So is one that says nothing of its length, once it is longer."""
    head = (
        f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"

    assert raw(served, head + chunk * 5).startswith(b"HTTP/1.1 413")


def test_largest(served: Served) -> None:
    """A body of exactly the limit is read."""
    body = json.dumps({"username": "a", "password": "b"}).encode()

    assert served.client.post(LOGIN, raw=body + b" " * (65_536 - len(body))).status == 401


def raw(served: Served, request: bytes, *, wait: float = 5.0) -> bytes:
    """Sends bytes, and reads until the server closes or says nothing more."""
    said = b""
    with socket.create_connection((served.client.host, served.client.port), timeout=wait) as sock:
        sock.sendall(request)
        sock.settimeout(wait)
        deadline = time.monotonic() + wait
        try:
            while time.monotonic() < deadline and (part := sock.recv(65_536)):
                said += part
                sock.settimeout(0.3)
        except (TimeoutError, ConnectionResetError):
            pass
    return said


GET = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/token/validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /v1/bootstrap HTTP/1.1\r\nHost: x\r\n\r\n"

FRAMES = {
    "both lengths": (
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        400,
    ),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} " + SMUGGLED, 400),
    "equal lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED, 400),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED, 400),
    "signed length": (POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED, 400),
    "hex length": (POST + b"Content-Length: 0x2\r\n\r\n{}" + SMUGGLED, 400),
    "listed length": (POST + b"Content-Length: 2, 2\r\n\r\n{}" + SMUGGLED, 400),
    "other coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n" + SMUGGLED, 501),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        501,
    ),
    "spaced header": (GET + b"Content-Length : 0\r\n\r\n" + SMUGGLED, 400),
    "bad chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n" + SMUGGLED, 400),
    "bare line feed": (GET + b"X: a\nY: b\r\n\r\n" + SMUGGLED, 400),
    "bare return": (GET + b"X: a\rY: b\r\n\r\n" + SMUGGLED, 400),
    "NUL in a header": (GET + b"X: a\x00b\r\n\r\n" + SMUGGLED, 400),
    "no colon": (GET + b"garbage\r\n\r\n" + SMUGGLED, 400),
    "no host": (b"GET /v1/health HTTP/1.1\r\n\r\n" + SMUGGLED, 400),
    "two hosts": (GET + b"Host: y\r\n\r\n" + SMUGGLED, 400),
    "coding in 1.0": (
        b"POST /v1/token/validate HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SMUGGLED,
        400,
    ),
    "version 2": (b"GET /v1/health HTTP/2.0\r\nHost: x\r\n\r\n" + SMUGGLED, 505),
    "version 0.9": (b"GET /v1/health\r\n\r\n" + SMUGGLED, 505),
    "lower-case method": (b"get /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED, 400),
    "two spaces": (b"GET  /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED, 400),
    "large header": (GET + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", FRAMES)
def test_framing(served: Served, name: str) -> None:
    """What two servers could read in two ways is refused, and what follows it is never read."""
    request, status = FRAMES[name]
    said = raw(served, request)
    head, _, body = said.partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == str(status).encode(), said
    assert said.count(b"X-Content-Type-Options") == 1
    assert b"Connection: close" in head
    assert b"Server:" not in head
    assert json.loads(body)["status"] == status


def test_pipelining(served: Served) -> None:
    """Well-formed requests one after another are answered one by one."""
    said = raw(served, (GET + b"\r\n") * 3)

    assert said.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts/%00",
        "/v1/accounts/%ff",
        "/v1/accounts/..%2f..%2fetc",
        "/v1/roles/%F0%9F%98%80",
        "/v1/keys/%0d%0aX:1/retire",
        "//v1//accounts",
        "/v1/accounts/",
        "/V1/health",
        "/v1/health;x=1",
        "/v1/audit/events/1.0",
        "http://evil.example/v1/nothing",
    ],
)
def test_paths(served: Served, path: str) -> None:
    """A path that is not exactly one of ours is not there."""
    assert served.admin.get(path).status in (404, 405)


def test_body_where_none_is_due(served: Served) -> None:
    """A body on a route that takes none is refused, not ignored."""
    answer = served.admin.call("GET", "/v1/accounts", raw=b"{}")

    assert answer.status == 400
