"""The processes: refusing to start, stopping well, replacing the dead."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatebook.store.certificates import self_signed
from tests.api.conftest import SERVER
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served


def children(served: Served) -> dict[int, str]:
    """The processes below the supervisor, with the module that each runs."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            words = (directory / "cmdline").read_text().split("\0")
        except (OSError, ValueError):
            continue
        if parent == served.process.pid and "-m" in words:
            found[int(directory.name)] = words[words.index("-m") + 1].rpartition(".")[2]
    return found


def pids(served: Served, module: str) -> set[int]:
    return {pid for pid, name in children(served).items() if name == module}


def until(true: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def refusal(deployment: Deployment, environment: dict[str, str] | None = None) -> str:
    """Starts a server that must not start. Returns its one line."""
    done = subprocess.run(
        [sys.executable, "-m", "gatebook.api", str(deployment.config)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 78, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def spoil(text: str, by: str) -> Callable[[Deployment], None]:
    def change(deployment: Deployment) -> None:
        before = deployment.config.read_text()
        assert text in before
        deployment.config.write_text(before.replace(text, by, 1))

    return change


def secured(cert: str, key: str, mode: int = 0o600) -> Callable[[Deployment], None]:
    """A listener with TLS by these files; tls.crt and tls.key fit each other, other.key neither."""

    def change(deployment: Deployment) -> None:
        now = datetime.now(UTC)
        for name in ("tls", "other"):
            pem, secret = self_signed(["localhost"], now, now + timedelta(days=9))
            (deployment.directory / f"{name}.crt").write_bytes(pem)
            (deployment.directory / f"{name}.key").write_bytes(secret)
            (deployment.directory / f"{name}.key").chmod(mode)
        spoil("threads = 4", f'engine = "granian"\ntls_cert = "{cert}"\ntls_key = "{key}"')(
            deployment
        )

    return change


def damage(deployment: Deployment) -> None:
    """One bit of the keyring's own record."""
    with closing(sqlite3.connect(deployment.directory / "gatebook.keys.db")) as keys:
        (wrapped,) = keys.execute("SELECT wrapped FROM keys WHERE name = 'master'").fetchone()
        spoilt = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
        keys.execute("UPDATE keys SET wrapped = ? WHERE name = 'master'", (spoilt,))
        keys.commit()


def newer(deployment: Deployment) -> None:
    """The store of a release to come."""
    with closing(sqlite3.connect(deployment.directory / "gatebook.db")) as log:
        log.execute("UPDATE schema SET version = 1000")
        log.commit()


REFUSALS: dict[str, tuple[Callable[[Deployment], Any], str]] = {
    "no configuration": (lambda d: d.config.unlink(), "gatebook.toml"),
    "not TOML": (spoil("[server]", "[server"), "gatebook.toml"),
    "unknown key": (spoil("threads = 4", "treads = 4"), "treads"),
    "wrong type": (spoil("workers = 2", 'workers = "2"'), "workers"),
    "half a pair": (spoil("threads = 4", 'tls_cert = "x.pem"'), "tls_key"),
    "open to the network": (spoil("127.0.0.1:0", "0.0.0.0:0"), "behind_tls_proxy"),
    "no master key": (lambda d: (d.directory / "master.key").unlink(), "master.key"),
    "readable master key": (lambda d: (d.directory / "master.key").chmod(0o644), "0644"),
    "another master key": (
        lambda d: (d.directory / "master.key").write_bytes(os.urandom(32)),
        "master",
    ),
    "no store": (lambda d: (d.directory / "gatebook.db").unlink(), "gatebook.db"),
    "no keyring": (lambda d: (d.directory / "gatebook.keys.db").unlink(), "key"),
    "not a store": (
        lambda d: (d.directory / "gatebook.db").write_bytes(b"nothing of the kind" * 300),
        "gatebook.db",
    ),
    "wrong key": (
        lambda d: (d.directory / "master.key").write_text("ab" * 32 + "\n"),
        "is not the one this keyring was made with",
    ),
    "damaged keyring": (damage, "damaged; restore the keyring"),
    "two master keys": (
        spoil('key_file = "master.key"', 'key_file = "master.key"\npassphrase_env = "P"'),
        "exactly one of",
    ),
    "no passphrase": (
        spoil('key_file = "master.key"', 'passphrase_env = "GATEBOOK_NO_SUCH_VARIABLE"'),
        "GATEBOOK_NO_SUCH_VARIABLE is not set",
    ),
    "no certificate": (secured("absent.crt", "absent.key"), "absent.key"),
    "readable TLS key": (secured("tls.crt", "tls.key", mode=0o640), "0640"),
    "half a certificate": (secured("tls.key", "tls.key"), "no PEM certificate"),
    "a certificate of another key": (secured("tls.crt", "other.key"), "is not the key of"),
    "TLS by waitress": (
        spoil("threads = 4", 'tls_cert = "a"\ntls_key = "b"'),
        "waitress has no TLS",
    ),
    "no such engine": (spoil("threads = 4", 'engine = "apache"'), "waitress or granian"),
    "granian behind a proxy": (
        spoil("threads = 4", 'engine = "granian"\ntrusted_proxies = ["127.0.0.1"]'),
        "trusted_proxies needs engine waitress",
    ),
    "no blocklist": (
        spoil("argon2_time = 1", 'argon2_time = 1\nblocklist_file = "absent.list"'),
        "absent.list",
    ),
    "unknown role": (
        spoil("[limits]", '[sessions]\nmfa_required_for = ["admln"]\n[limits]'),
        "admln",
    ),
    "another scheme": (spoil("sqlite:///", "mysql://"), "begins with sqlite"),
    "a newer store": (newer, "schema version"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses_to_start(deployment: Deployment, name: str) -> None:
    """Whatever is wrong is one line that names it and exit code 78; nothing listens."""
    deployment.create()
    change, named = REFUSALS[name]
    change(deployment)

    assert named in refusal(deployment)


def test_taken_port(deployment: Deployment) -> None:
    """A port that somebody has is named."""
    deployment.create()
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        assert listen in refusal(deployment, {"GATEBOOK__SERVER__LISTEN": listen})


def test_one_bad_variable(deployment: Deployment) -> None:
    """A variable that names no setting is refused by its name."""
    deployment.create()

    assert "GATEBOOK__SERVER__LISTE" in refusal(deployment, {"GATEBOOK__SERVER__LISTE": "x"})


def test_dead_worker_is_replaced(deployment: Deployment) -> None:
    """A worker or follower that is killed is replaced, and requests go on being answered."""
    deployment.create()
    with deployment.served() as served:
        until(lambda: len(children(served)) == 3)
        for module, count in (("worker", 2), ("follower", 1)):
            victim = min(pids(served, module))
            os.kill(victim, signal.SIGKILL)
            until(lambda m=module, n=count, v=victim: len(pids(served, m) - {v}) == n)
        assert served.admin.get("/v1/accounts").status == 200


def test_a_worker_that_keeps_dying(deployment: Deployment) -> None:
    """After five deaths in a minute the supervisor gives up, with an error, and all end."""
    deployment.create()
    with deployment.served() as served:
        seen: set[int] = set()
        deadline = time.monotonic() + 40
        while served.process.poll() is None and time.monotonic() < deadline:
            seen |= set(children(served))
            for pid in pids(served, "follower"):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        assert served.process.wait(40) == 1
        until(lambda: not any(alive(pid) for pid in seen))
        assert "keeps dying" in deployment.log()


def test_children_end_with_the_supervisor(deployment: Deployment) -> None:
    """When the supervisor is killed, every process of the deployment ends."""
    deployment.create()
    with deployment.served() as served:
        until(lambda: len(children(served)) == 3)
        orphans = set(children(served))
        served.process.kill()
        served.process.wait()
        until(lambda: not any(alive(pid) for pid in orphans))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_finishes_what_was_accepted(deployment: Deployment, number: signal.Signals) -> None:
    """A request that is under way when the server is stopped is answered; then all end with 0."""
    deployment.create()
    with deployment.served() as served:
        token = served.token(ADMIN, ADMIN_PASSWORD)
        body = json.dumps({"username": "late", "type": "system"}).encode()
        head = (
            "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection((served.client.host, served.client.port)) as raw:
            raw.settimeout(20)
            raw.sendall(head + body[:5])
            time.sleep(0.3)
            served.process.send_signal(number)
            time.sleep(0.3)
            raw.sendall(body[5:])
            assert raw.recv(4096).startswith(b"HTTP/1.1 201")
        assert served.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((served.client.host, served.client.port), timeout=2)


def test_stop_ends_long_polls(deployment: Deployment) -> None:
    """A feed that waits half a minute does not hold the stop up."""
    deployment.create()
    with deployment.served() as served:
        admin = served.admin
        answers: list[Any] = []
        path = "/v1/audit/feed?after=100000&wait=30"
        thread = threading.Thread(target=lambda: answers.append(admin.get(path)))
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
        thread.join(10)
        assert time.monotonic() - began < 8
        assert answers[0].body["items"] == []


def test_nothing_is_lost_over_a_restart(deployment: Deployment) -> None:
    """What was answered before a stop is there after the next start."""
    deployment.create()
    with deployment.served() as served:
        account = served.account("viewer")
        token = served.token(account["username"])
    with deployment.served() as served:
        assert served.client.with_token(token).get("/v1/auth/me").status == 200
        shown = served.admin.get(f"/v1/accounts/{account['id']}")
        assert shown.body["roles"] == ["viewer"]


def test_management_listener(tmp_path: Path) -> None:
    """The management listener has health, readiness and metrics, and nothing else."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = f'{SERVER}\nmanagement_listen = "127.0.0.1:{port}"'
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=server)
    deployment.create()
    with deployment.served() as served:
        management = type(served.client)("127.0.0.1", port)
        assert management.get("/v1/health").status == 200
        ready = management.get("/v1/ready").body
        assert {one["name"] for one in ready["projections"]} == {
            "access",
            "accounts",
            "sessions",
            "audit",
            "tree",
        }
        assert b"gatebook_log_head" in management.get("/metrics").raw
        for path in ("/v1/accounts", "/v1/bootstrap", "/openapi.json", "/v1/auth/login"):
            assert management.get(path).status == 404


def test_client_address_behind_a_proxy(tmp_path: Path) -> None:
    """Only a proxy that is configured may say who the client is."""
    proxied = Deployment(
        tmp_path, "sqlite:///gatebook.db", server=SERVER + '\ntrusted_proxies = ["127.0.0.1"]'
    )
    proxied.create()
    with proxied.served() as served:
        served.client.post(
            "/v1/auth/login",
            {"username": ADMIN, "password": "wrong wrong wrong"},
            headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "Forwarded": "for=6.6.6.6"},
        )
        (failed,) = served.events("&type=login.failed")
        assert failed["source"]["ip"] == "203.0.113.9"


def test_forwarded_is_ignored_without_a_proxy(served: Served) -> None:
    """Without a configured proxy nobody writes his own address."""
    account = served.account()
    served.client.post(
        "/v1/auth/login",
        {"username": account["username"], "password": "wrong wrong wrong"},
        headers={"X-Forwarded-For": "203.0.113.9"},
    )
    (failed,) = served.events(f"&account={account['id']}&type=login.failed")

    assert failed["source"]["ip"] == "127.0.0.1"
