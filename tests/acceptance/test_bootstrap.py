"""parity.md E1 to E8: bootstrap and first run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.api.served import BOOTSTRAP_TOKEN, PASSWORD, PROGRAM, Deployment

GATEBOOK = (PROGRAM, "-c", "from gatebook.tools.main import main; main()")


def body(name="chief", **changes):
    """A bootstrap request."""
    return {"token": BOOTSTRAP_TOKEN, "username": name, "password": PASSWORD} | changes


def test_e1_the_token_seats_the_first_admin_without_any_other_credential(empty):
    """E1: no Authorization header; 201, tokens once, and availability flips."""
    with empty.served() as server:
        assert server.client.get("/v1/bootstrap").body == {"available": True}

        answer = server.client.post("/v1/bootstrap", body())

        assert answer.status == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert server.client.get("/v1/bootstrap").body == {"available": False}
        me = server.client.with_token(answer.body["access_token"]).get("/v1/auth/me").body
        assert me["account"]["roles"] == ["admin"]


def test_e2_the_token_counts_once_and_only_the_right_one(empty):
    """E2: wrong token 401, bad name 400, too large 413; used up 410 and no new admin."""
    with empty.served() as server:
        post = server.client.post
        assert post("/v1/bootstrap", body(token="wrong")).status == 401
        assert post("/v1/bootstrap", body(token="")).status == 401
        assert post("/v1/bootstrap", body(name="a b")).status == 400
        assert post("/v1/bootstrap", body(password="short")).status == 400
        assert post("/v1/bootstrap", body(name="x" * 5000)).status == 413
        assert server.client.get("/v1/bootstrap").body == {"available": True}
        assert post("/v1/bootstrap", body()).status == 201
        assert post("/v1/bootstrap", body(name="second")).status == 410
        assert post("/v1/bootstrap", body(token="wrong")).status in (401, 410)


def test_e3_fifty_racers_on_two_servers_make_one_admin(empty):
    """E3: two server processes on one store, 50 valid bootstraps at once: exactly one wins."""
    with ExitStack() as stack:
        servers = [stack.enter_context(empty.served()) for _ in range(2)]
        barrier = threading.Barrier(50)

        def race(number):
            barrier.wait(30)
            client = servers[number % 2].client
            return client.post("/v1/bootstrap", body(f"racer-{number}")), number

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(race, range(50)))

        statuses = [answer.status for answer, _number in answers]
        assert statuses.count(201) == 1, statuses
        assert set(statuses) <= {201, 409, 410, 503}
        [winner] = [answer for answer, _number in answers if answer.status == 201]
        admin = servers[0].client.with_token(winner.body["access_token"])
        seated = admin.get("/v1/audit?type=bootstrap.token_first_admin").body["items"]
        assert [event["account_id"] for event in seated] == [winner.body["account_id"]]
        assert len(admin.get("/v1/accounts?role=admin").body["items"]) == 1


def test_e4_killed_in_the_middle_it_is_done_or_can_be_done_again(empty):
    """E4: kill -9 at random moments; never an admin without an event, never a half of one."""
    outcomes = set()
    for round_ in range(6):
        with empty.served() as server:
            client = server.client
            before = client.get("/v1/bootstrap").body["available"]
            seat = threading.Thread(
                target=_try, args=(client, body(f"chief-{round_}")), daemon=True
            )
            seat.start()
            time.sleep(0.004 * round_)
            _kill(server)
            seat.join(20)
        with empty.served() as server:
            available = server.client.get("/v1/bootstrap").body["available"]
            outcomes.add((before, available))
            if available:
                continue
            for number in range(round_ + 1):
                login = {"username": f"chief-{number}", "password": PASSWORD}
                answer = server.client.post("/v1/auth/login", login)
                if answer.status == 200:
                    break
            admin = server.client.with_token(answer.body["access_token"])
            seated = admin.get("/v1/audit?type=bootstrap.token_first_admin").body["items"]
            assert len(seated) == 1
            assert admin.get("/v1/auth/me").body["account"]["roles"] == ["admin"]
            return
    with empty.served() as server:
        assert server.client.post("/v1/bootstrap", body("at-last")).status == 201


def _try(client, sent):
    with contextlib.suppress(OSError):
        client.post("/v1/bootstrap", sent)


def _kill(server):
    """Kills the supervisor; its children end with it."""
    server.process.kill()
    server.process.wait(10)
    time.sleep(0.3)


def run(deployment, *words, stdin=None):
    """One command of the command line."""
    return subprocess.run(
        [*GATEBOOK, "--config", str(deployment.config), *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"COLUMNS": "400"},
    )


def test_e5_the_offline_command_line_makes_an_admin_and_is_recorded(empty):
    """E5: create, set a password, grant: the login works and the events name the local user."""
    made = run(empty, "--json", "account", "create", "--username", "ops", "--no-password")
    assert made.returncode == 0, made.stderr
    assert (
        run(
            empty, "account", "set-password", "ops", "--password-stdin", stdin=PASSWORD + "\n"
        ).returncode
        == 0
    )
    assert run(empty, "role", "grant", "ops", "admin").returncode == 0
    with empty.served() as server:
        admin = server.client.with_token(server.token("ops"))
        events = admin.get("/v1/audit?limit=500").body["items"]
        for wanted in ("account.created", "password.set", "role.granted"):
            [event] = [event for event in events if event["type"] == wanted]
            assert event["actor"]["type"] == "local"
            assert event["actor"]["id"]


def test_e6_health_and_readiness(fresh):
    """E6: healthy at once, and ready means that the inline read model is level."""
    with fresh.served() as server:
        health = server.client.get("/v1/health")
        assert (health.status, health.body) == (200, {"status": "ok"})
        ready = server.client.get("/v1/ready")
        assert ready.status == 200
        assert ready.body["status"] == "ready"


def spoil_unknown_key(deployment):
    deployment.config.write_text(deployment.config.read_text() + "\n[server2]\nx = 1\n")
    return "server2"


def spoil_wrong_type(deployment):
    text = deployment.config.read_text().replace("workers = 2", 'workers = "two"')
    deployment.config.write_text(text)
    return "workers"


def spoil_key_file(deployment):
    (deployment.directory / "master.key").unlink()
    return "master.key"


def spoil_key(deployment):
    path = deployment.directory / "master.key"
    path.write_text("00" * 32)
    return "not the one"


def spoil_key_mode(deployment):
    (deployment.directory / "master.key").chmod(0o644)
    return "0644"


def spoil_tls_pair(deployment):
    text = deployment.config.read_text().replace("workers = 2", 'workers = 2\ntls_cert = "x"')
    deployment.config.write_text(text)
    return "tls_key"


def spoil_listener(deployment):
    text = deployment.config.read_text().replace("127.0.0.1:0", "0.0.0.0:0")
    deployment.config.write_text(text)
    return "behind_tls_proxy"


def spoil_store(deployment):
    text = deployment.config.read_text().replace("gatebook.db", "elsewhere/gatebook.db")
    deployment.config.write_text(text)
    return "elsewhere"


def spoil_schema(deployment):
    import sqlite3

    connection = sqlite3.connect(deployment.directory / "gatebook.db")
    connection.execute("UPDATE schema SET version = 99")
    connection.commit()
    connection.close()
    return "99"


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_unknown_key,
        spoil_wrong_type,
        spoil_key_file,
        spoil_key,
        spoil_key_mode,
        spoil_tls_pair,
        spoil_listener,
        spoil_store,
        spoil_schema,
    ],
)
def test_e7_e8_a_start_that_cannot_be_is_refused_in_one_line(spoil, tmp_path):
    """E7, E8: code 78, one line that names the cause, and no listener."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 2")
    deployment.create()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    deployment.config.write_text(
        deployment.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}")
    )
    if spoil is spoil_listener:
        text = deployment.config.read_text().replace(f"127.0.0.1:{port}", "127.0.0.1:0")
        deployment.config.write_text(text)
    named = spoil(deployment)

    done = subprocess.run(
        [*GATEBOOK, "--config", str(deployment.config), "serve"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 78, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert named in done.stderr
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_e7_a_missing_passphrase_is_named(tmp_path):
    """E7: the variable that is not set is named; the right one opens, a wrong one is told apart."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    text = deployment.config.read_text()
    deployment.config.write_text(
        text.replace('key_file = "master.key"', 'passphrase_env = "TEST_PASSPHRASE"')
    )
    environment = {k: v for k, v in os.environ.items() if k != "TEST_PASSPHRASE"}

    def start(*words, **more):
        return subprocess.run(
            [*GATEBOOK, "--config", str(deployment.config), *words],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment | more,
        )

    made = start("init", "--data-dir", str(tmp_path), TEST_PASSPHRASE="a passphrase of some length")
    assert made.returncode == 0, made.stderr
    unset = start("serve")
    assert (unset.returncode, "TEST_PASSPHRASE" in unset.stderr) == (78, True)
    wrong = start("doctor", TEST_PASSPHRASE="another passphrase of length")
    assert "not the one" in wrong.stdout
    short = start("serve", TEST_PASSPHRASE="short")
    assert (short.returncode, "16 bytes" in short.stderr) == (78, True)
    assert start("store", "info", TEST_PASSPHRASE="a passphrase of some length").returncode == 0


def test_it_stops_when_it_is_asked_to(fresh):
    """SIGTERM ends it with code 0 and what was accepted is answered."""
    with fresh.served() as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
