"""Class 19, denial of service at little cost.

CVE-2025-59043, -6203, -12044; Keycloak CVE-2026-16100; CVE-2026-49835, -48702, -39396, -45292;
rauthy RAUTHY-004; floods of Argon2.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from urllib.parse import quote

from tests.api.served import PASSWORD, Deployment, Served
from tests.attacks.tools import begun, hash_gate_shut, raw


def test_health_goes_on_under_a_flood_of_logins(served: Served) -> None:
    """Sign-ins that wait for the gate leave threads for everything else; too many are 503."""
    body = {"username": "flood", "password": PASSWORD}
    admin = served.admin
    with hash_gate_shut(served.deployment):
        flood = [begun(lambda: served.client.post("/v1/auth/login", body)) for _ in range(48)]
        time.sleep(0.7)
        began = time.monotonic()
        others = [
            begun(lambda: served.client.get("/v1/health").status),
            begun(lambda: served.client.get("/v1/ready").status),
            begun(lambda: admin.get("/v1/auth/check").status),
        ]
        time.sleep(1.5)
        answered = [other.done() for other in others]
    statuses = [answer.result(60).status for answer in flood]
    assert [other.result(60) for other in others] == [200, 200, 204]
    assert answered == [True, True, True], f"waited {time.monotonic() - began:.1f} s"
    assert set(statuses) <= {401, 503}
    assert 503 in statuses
    refused = [
        future.result().headers["Retry-After"] for future in flood if future.result().status == 503
    ]
    assert all(refused)


def test_polls_leave_threads(served: Served) -> None:
    """Waiting readers of the feed, however many, do not keep others from an answer."""
    _, auditor = served.signed_in("auditor")
    path = f"/v1/audit/feed?after={2**60}&wait=2"
    polls = [begun(lambda: auditor.get(path).status) for _ in range(40)]
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(5):
        assert served.client.get("/v1/health").status == 200
    assert time.monotonic() - began < 1
    assert {poll.result(30) for poll in polls} == {200}


def test_a_stranger_lengthens_the_log_within_bounds(served: Served) -> None:
    """Tries at one account, locked or not, and malformed requests: no event beyond the lock."""
    account = served.account()
    for number in range(30):
        body = {"username": account["username"], "password": f"wrong tractor {number}"}
        assert served.client.post("/v1/auth/login", body).status == 401
    assert len(served.events(f"&account={account['id']}&type=login.failed")) == 5
    before = len(served.events())
    for _ in range(20):
        served.client.post("/v1/auth/renew", {"refresh_token": "gbr_" + "A" * 70})
        served.client.post("/v1/token/validate", {"token": "x" * 60_000})
        served.client.post("/v1/bootstrap", {"token": "x", "username": "y", "password": PASSWORD})
        served.client.get("/v1/auth/me")
        served.client.get("/v1/" + "x" * 500)
    assert len(served.events()) == before


def test_a_low_account_lengthens_the_log_within_bounds(served: Served) -> None:
    """Reaching beyond one's permissions is recorded a hundred times an hour at most."""
    body = {"permissions": ["roles.write"]}
    assert served.admin.put("/v1/roles/prober", body).status in (200, 201)
    account, client = served.signed_in("prober")
    for number in range(110):
        wanted = {"permissions": ["audit.read"]}
        assert client.put(f"/v1/roles/probe-{number}", wanted).status == 403
    assert len(served.events(f"&account={account['id']}&type=access.denied")) == 100


def test_metrics_have_few_labels(served: Served) -> None:
    """No path, method or status that a stranger makes up becomes a label."""

    def series() -> int:
        return served.admin.get("/metrics").raw.count(b"\n")

    for number in range(3):
        served.client.call(f"METHOD{number}", f"/v1/{number}")
    time.sleep(0.1)
    before = max(series() for _ in range(6))
    for number in range(60):
        served.client.get(f"/v1/made-up-{number}")
        served.client.call(f"VERB{number}", "/v1/health")
        served.client.get(f"/v1/accounts/{number}")
        served.client.get("/v1/health", headers={"User-Agent": f"agent-{number}"})
    assert max(series() for _ in range(6)) <= before + 40


def test_costly_bodies(served: Served) -> None:
    """Every body within the limit is answered in a second, however it is made."""
    wide = b'{"permissions":[' + b",".join([b'"x"'] * 15_000) + b"]}"
    bodies = {
        "deep": b"[" * 65_000,
        "deep objects": b'{"a":' * 10_000,
        "digits": b"9" * 65_000,
        "exponent": b"1e" + b"9" * 60_000,
        "escapes": b'"' + b"\\u0041" * 10_000 + b'"',
        "wide": wide,
        "keys": b"{" + b",".join(b'"k%d":1' % n for n in range(5_000)) + b"}",
        "one key often": b"{" + b",".join([b'"k":1'] * 8_000) + b"}",
        "long key": b'{"' + b"` - at `$" * 7_000 + b'":1}',
        "long password": b'{"username":"a","password":"' + "ﷺ".encode() * 4_096 + b'"}',
    }
    for name, body in bodies.items():
        for method, path in (("PUT", "/v1/roles/costly"), ("POST", "/v1/auth/login")):
            began = time.monotonic()
            answer = served.admin.call(method, path, raw=body[:65_536])
            assert answer.status in (400, 401), (name, answer.raw[:200])
            assert time.monotonic() - began < 1, name
            assert len(answer.raw) < 70_000, name


def test_costly_names_and_passwords(served: Served) -> None:
    """The estimator and the normaliser see a bounded part of what they are given."""
    for password in ("aA1!" * 64, "1q2w3e4r" * 32, "l33tp@$$" * 32, "2020" * 64, "abcabcab" * 32):
        body = {
            "username": "z" * 64,
            "type": "human",
            "display_name": password[:200],
            "email": f"{'y' * 60}@{password[:100]}x",
            "password": password,
        }
        began = time.monotonic()
        assert served.admin.post("/v1/accounts", body).status in (201, 400, 409)
        assert time.monotonic() - began < 1


def test_costly_queries(served: Served) -> None:
    """Long and odd filters are answered at once."""
    for query in (
        "q=" + "%25" * 200,
        "q=" + "a_%25" * 40,
        "q=" + quote("İ" * 60),
        "&".join(f"x{n}=1" for n in range(3_000)),
    ):
        began = time.monotonic()
        assert served.admin.get(f"/v1/accounts?{query}").status in (200, 400, 431)
        assert time.monotonic() - began < 1


def test_many_and_long_headers(served: Served) -> None:
    """Beyond 16 KiB of header a request is refused, before it is whole."""
    many = b"".join(b"X-%d: y\r\n" % n for n in range(5_000))
    head = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n"
    for lines in (many, b"X: " + b"y" * 70_000, b"Cookie: " + b"a=b; " * 10_000):
        said = raw(served, head + lines)
        assert b" 431 " in said[:20] or b" 400 " in said[:20] or said == b""
    assert raw(served, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n")[9:12] in (
        b"431",
        b"400",
        b"",
    )


def test_slow_clients_keep_nobody_waiting(served: Served) -> None:
    """Two hundred connections that send a byte now and then cost others nothing."""
    slow = []
    try:
        for _ in range(200):
            sock = socket.create_connection((served.client.host, served.client.port), timeout=5)
            sock.sendall(b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n")
            slow.append(sock)
        began = time.monotonic()
        for _ in range(10):
            assert served.client.get("/v1/health").status == 200
        assert time.monotonic() - began < 2
    finally:
        for sock in slow:
            sock.close()


def test_own_sessions_are_bounded(served: Served) -> None:
    """What one shows of oneself is a page, however often one signed in."""
    account, client = served.signed_in()
    for _ in range(60):
        served.client.login(account["username"], PASSWORD)
    assert len(client.get("/v1/auth/me").body["sessions"]) <= 50
    assert len(client.get("/v1/auth/sessions").body["items"]) == 50


def test_memory(tmp_path: Path) -> None:
    """A thousand large and refused requests leave the process as large as it was."""
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    own.create()
    with own.served() as server:
        body = json.dumps({"token": "x" * 60_000}).encode()

        def resident() -> int:
            children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
            pages = os.sysconf("SC_PAGE_SIZE")
            found = [Path(f"/proc/{child}/statm") for child in children.read_text().split()]
            return sum(int(path.read_text().split()[1]) for path in found) * pages

        for _ in range(50):
            server.client.post("/v1/token/validate", raw=body)
        before = resident()
        for number in range(400):
            server.client.post("/v1/token/validate", raw=body)
            server.client.get(f"/v1/unknown-{number}")
        assert resident() - before < 30_000_000
