"""Behind nginx and HAProxy, by the examples that are shipped: requests, addresses, long polls."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.dist.test_files import DIST, certificate, tool

HOST = "auth.example.org"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx(directory: Path, port: int, behind: int) -> tuple[list[str], Path]:
    """The example of nginx on a port of the test's own."""
    crt, key = certificate(directory)
    text = (DIST / "proxies" / "nginx.conf").read_text()
    for before, after in (
        ("/etc/ssl/gatebook/tls.crt", str(crt)),
        ("/etc/ssl/gatebook/tls.key", str(key)),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8440;", f"127.0.0.1:{behind};"),
    ):
        assert before in text
        text = text.replace(before, after)
    # No port that others have, and no IPv6, which is not on every machine.
    text = re.sub(r"    listen \[::\]:.*\n", "", text)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    places = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off;\npid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
    # One process, so that it needs no other user's directory.
    whole = f"master_process off;\n{whole}http {{\naccess_log off;\n{places}{text}\n}}\n"
    config = directory / "nginx.conf"
    config.write_text(whole)
    return [tool("nginx"), "-e", "stderr", "-c", str(config)], crt


def haproxy(directory: Path, port: int, behind: int) -> tuple[list[str], Path]:
    """The example of HAProxy with one node."""
    crt, key = certificate(directory)
    both = directory / "both.pem"
    both.write_text(crt.read_text() + key.read_text())
    text = (DIST / "proxies" / "haproxy.cfg").read_text()
    text = text.replace("/etc/ssl/gatebook/", str(both)).replace("maxconn 20000", "maxconn 500")
    text = text.replace("bind :443", f"bind 127.0.0.1:{port}")
    text = re.sub(r"    server node[23].*\n", "", text)
    text = text.replace("192.0.2.11:8440", f"127.0.0.1:{behind}")
    config = directory / "haproxy.cfg"
    config.write_text(text)
    return [tool("haproxy"), "-db", "-f", str(config)], crt


@contextlib.contextmanager
def behind_proxy(directory: Path, kind: Any) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server, and the proxy before it: its port, and a context that trusts its certificate."""
    deployment = Deployment(
        directory,
        "sqlite:///gatebook.db",
        server="workers = 1\nthreads = 8\n"
        f'public_url = "https://{HOST}"\ntrusted_proxies = ["127.0.0.1/32"]\n',
    )
    deployment.create()
    with deployment.served() as served:
        port = free_port()
        command, crt = kind(directory, port, served.client.port)
        with (directory / "proxy.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            context = ssl.create_default_context(cafile=str(crt))
            context.check_hostname = False  # the example's certificate has a common name alone
            deadline = time.monotonic() + 20
            while True:
                try:
                    if call(port, context, "GET", "/v1/health").status == 200:
                        break
                except OSError:
                    pass
                assert time.monotonic() < deadline, (directory / "proxy.log").read_text()
                time.sleep(0.1)
            yield port, context
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def call(
    port: int,
    context: ssl.SSLContext,
    method: str,
    path: str,
    body: Any = None,
    **headers: str,
) -> Any:
    """One request through the proxy."""
    # From an address that is no proxy's.
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=30, context=context, source_address=("127.0.0.2", 0)
    )
    sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = None
    if body is not None:
        sent["Content-Type"], content = "application/json", json.dumps(body)
    connection.request(method, path, content, sent)
    answer: Any = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("kind", [nginx, haproxy], ids=["nginx", "haproxy"])
def test_behind_a_proxy(kind: Any, tmp_path: Path) -> None:
    """Sign-in with cookies of TLS, the client's address, a long poll, and no way to the metrics."""
    if kind is nginx and os.geteuid() != 0 and not os.access("/var/lib/nginx", os.W_OK):
        pytest.skip("this nginx wants directories of another user")
    with behind_proxy(tmp_path, kind) as (port, context):
        login = {"username": ADMIN, "password": ADMIN_PASSWORD}
        signed = call(port, context, "POST", "/v1/auth/login?session=cookie", login)
        assert signed.status == 200, signed.content
        cookies = signed.headers.get_all("Set-Cookie")
        assert any(one.startswith("__Host-gatebook_session=") for one in cookies)
        assert "max-age" in signed.headers["Strict-Transport-Security"]
        pair = call(port, context, "POST", "/v1/auth/login", login, X_Forwarded_For="203.0.113.9")
        bearer = {"Authorization": f"Bearer {json.loads(pair.content)['access_token']}"}
        events = json.loads(
            call(port, context, "GET", "/v1/audit?type=login.succeeded", **bearer).content
        )["items"]
        # What a client says of itself is not believed: the last hop is the proxy's word.
        assert {one["source"]["ip"] for one in events} == {"127.0.0.2"}
        for path in ("/metrics", "//metrics", "/%6detrics", "/metrics/"):
            assert call(port, context, "GET", path, **bearer).status == 404, path

        newest = int(events[-1]["position"]) + 50
        waited: list[float] = []

        def poll() -> None:
            began = time.monotonic()
            path = f"/v1/audit/feed?after={newest}&wait=3"
            assert call(port, context, "GET", path, **bearer).status == 200
            waited.append(time.monotonic() - began)

        thread = threading.Thread(target=poll)
        thread.start()
        thread.join(30)
        assert 2.5 < waited[0] < 10


def test_haproxy_asks_on_when_no_node_is_ready(tmp_path: Path) -> None:
    """What is halted is halted for all nodes; people sign in all the same."""
    login = {"username": ADMIN, "password": ADMIN_PASSWORD}
    with behind_proxy(tmp_path, haproxy) as (port, context):
        house = open_house(Settings.load(tmp_path / "gatebook.toml", {}))
        with closing(house), house.store.writing() as tx:
            tx.execute("UPDATE tree_state SET halted = 'a test'")
        deadline = time.monotonic() + 15
        while "backend gatebook has no server" not in (tmp_path / "proxy.log").read_text():
            assert time.monotonic() < deadline
            assert call(port, context, "POST", "/v1/auth/login", login).status == 200
            time.sleep(0.2)
        assert call(port, context, "POST", "/v1/auth/login", login).status == 200
        told = call(port, context, "GET", "/v1/ready")
        assert (told.status, b"a test" in told.content) == (503, True)
