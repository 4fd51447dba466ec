"""A started server with TLS: its handshakes, its cookies, and another certificate while it runs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatebook.store.certificates import self_signed
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.attacks.tools import program

TLS = """
workers = 2
threads = 8
engine = "granian"
tls_cert = "tls.crt"
tls_key = "tls.key"
management_listen = "127.0.0.1:{management}"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certified(directory: Path, days: int = 90, name: str = "localhost") -> bytes:
    """Puts a fresh pair in place, key first, and returns the certificate in DER."""
    now = datetime.now(UTC)
    begins = now - timedelta(days=400)
    pem, key = self_signed([name, "127.0.0.1"], begins, now + timedelta(days=days))
    for path, content in ((directory / "tls.key", key), (directory / "tls.crt", pem)):
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.chmod(0o600)
        unfinished.replace(path)
    return ssl.PEM_cert_to_DER_cert(pem.decode())


class Secure:
    """A server with TLS on a free port, and what is needed to speak with it."""

    def __init__(self, deployment: Deployment, process: Any, port: int, management: int) -> None:
        self.deployment, self.process = deployment, process
        self.port, self.management = port, management

    def context(self, *, verify: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if verify:
            context.load_verify_locations(str(self.deployment.directory / "tls.crt"))
        else:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def shown(self) -> bytes:
        """The certificate that a new connection is shown."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 40) as raw,
            self.context(verify=False).wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            certificate = secure.getpeercert(binary_form=True)
            assert certificate is not None
            return certificate

    def call(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=30, context=self.context()
        )
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def ready(self) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.management, timeout=10)
        connection.request("GET", "/v1/ready")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer


@contextmanager
def secure(directory: Path) -> Iterator[Secure]:
    """A server with TLS."""
    management = free_port()
    server = TLS.format(management=management)
    deployment = Deployment(directory, "sqlite:///gatebook.db", server=server)
    deployment.create()
    with deployment.served() as served:
        yield Secure(deployment, served.process, served.client.port, management)


def test_it_speaks_tls_1_2_and_1_3_and_nothing_older(tmp_path: Path) -> None:
    """Both handshakes; no older one, and no answer to plain HTTP."""
    certified(tmp_path)
    with secure(tmp_path) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = server.context()
            context.minimum_version = context.maximum_version = version
            connection = http.client.HTTPSConnection(
                "localhost", server.port, timeout=10, context=context
            )
            connection.request("GET", "/v1/health")
            assert connection.getresponse().status == 200
            connection.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = (ssl.TLSVersion.TLSv1,) * 2
        with (
            socket.create_connection(("127.0.0.1", server.port), 10) as raw,
            pytest.raises(OSError, match=r"(?i)alert|protocol|version|reset|eof"),
        ):
            old.wrap_socket(raw)
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        plain.request("GET", "/v1/health")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()


def test_cookies_and_headers_are_those_of_tls(tmp_path: Path) -> None:
    """`__Host-` and Secure, HSTS; no name of a server."""
    certified(tmp_path)
    with secure(tmp_path) as server:
        body = {"username": ADMIN, "password": ADMIN_PASSWORD}
        answer = server.call("POST", "/v1/auth/login?session=cookie", body)
        assert answer.status == 200, answer.content  # type: ignore[attr-defined]
        cookies = answer.headers.get_all("Set-Cookie") or []
        assert any(one.startswith("__Host-gatebook_session=") for one in cookies)
        assert all("Secure" in one for one in cookies)
        assert "max-age" in (answer.headers["Strict-Transport-Security"] or "")
        assert not answer.headers.get("Server")


def test_the_command_line_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    """A certificate that signs itself: refused with a hint, and taken with SSL_CERT_FILE."""
    certified(tmp_path)
    with secure(tmp_path) as server:
        words = ("--server", f"https://localhost:{server.port}", "login", "--username", ADMIN)
        told = {}
        for trusted in ("", str(tmp_path / "tls.crt")):
            environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "SSL_CERT_FILE": trusted}
            environment = {name: value for name, value in environment.items() if value}
            told[trusted] = program(
                None, *words, "--password-stdin", given=ADMIN_PASSWORD, environment=environment
            )
    refused, taken = told.values()
    assert (refused.returncode, taken.returncode) == (3, 0), taken.stderr
    assert "SSL_CERT_FILE=FILE" in refused.stderr


def test_a_new_certificate_is_taken_up_without_losing_a_request(tmp_path: Path) -> None:
    """The files change: within seconds new connections are shown the new one; it is recorded."""
    first = certified(tmp_path)
    with secure(tmp_path) as server:
        assert server.shown() == first
        stop, wrong, done = threading.Event(), [], []

        def ask() -> None:
            context = server.context(verify=False)
            while not stop.is_set():
                connection = http.client.HTTPSConnection(
                    "localhost", server.port, timeout=30, context=context
                )
                try:
                    connection.request("GET", "/v1/health")
                    done.append(connection.getresponse().status)
                except OSError as error:
                    wrong.append(error)
                finally:
                    connection.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        second = certified(tmp_path)
        deadline = time.monotonic() + 30
        while server.shown() != second and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join(40)
        assert server.shown() == second
        assert wrong == []
        assert set(done) == {200}
    told = program(server.deployment, "--json", "audit", "query", "--type", "certificate.loaded")
    assert told.stdout.count('"certificate.loaded"') == 2


def test_a_pair_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """Only the certificate was replaced: refused, logged, and the old pair serves on."""
    first = certified(tmp_path)
    with secure(tmp_path) as server:
        other = tmp_path / "other"
        other.mkdir()
        certified(other)
        shutil.copy(other / "tls.crt", tmp_path / "tls.crt")
        os.kill(server.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 15
        while "is not the key of" not in server.deployment.log() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "is not the key of" in server.deployment.log()
        assert server.shown() == first


def test_a_worker_that_dies_comes_back_with_the_pair_that_counts(tmp_path: Path) -> None:
    """Whatever lies in the files by then: what was accepted is what is served with."""
    first = certified(tmp_path)
    with secure(tmp_path) as server:
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).unlink()
        (tmp_path / "tls.crt").write_text("half a certif")
        parent = server.process.pid
        listed = f"/proc/{parent}/task/{parent}/children"
        former = set(Path(listed).read_text().split())
        for pid in former:
            os.kill(int(pid), signal.SIGKILL)
        deadline = time.monotonic() + 20
        shown = b""
        while shown != first and time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                shown = server.shown()
            except OSError:
                continue
        assert shown == first
        assert server.process.poll() is None


@pytest.mark.parametrize(
    ("days", "status", "word"), [(5, "ready", "ends in"), (-1, "not-ready", "expired")]
)
def test_readiness_says_when_it_ends(days: int, status: str, word: str, tmp_path: Path) -> None:
    """A fortnight before the end it warns; afterwards it is not ready, and serves all the same."""
    certified(tmp_path, days=days)
    with secure(tmp_path) as server:
        told = server.ready()
        assert told["status"] == status
        assert word in " ".join(told["warnings"] + told["problems"])
        assert server.shown()


def test_the_command_makes_a_pair_that_a_browser_could_name(tmp_path: Path) -> None:
    """Names and addresses as subjectAltName, a private key of one's own, never over another."""
    words = ("tls", "self-signed", "--host", "auth.example.org", "--host", "192.0.2.7")
    made = program(None, "--json", *words, "--out-dir", str(tmp_path))
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["names"] == ["auth.example.org", "192.0.2.7"]
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
    again = program(None, *words, "--out-dir", str(tmp_path))
    assert again.returncode == 1
    assert "already" in again.stderr
    bad = program(
        None, "tls", "self-signed", "--host", "no_name!", "--out-dir", str(tmp_path / "x")
    )
    assert bad.returncode == 2
