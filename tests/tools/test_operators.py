"""Whoever runs `gatebook` on an installed machine: his name in the log, his session, his advice."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.attacks.tools import program

DIST = Path(__file__).parents[2] / "dist"
STUBS = {
    "id": '[ "$1" = -u ] && echo 0 || echo root',
    "getent": "echo gatebook:x:990:990::/srv/gatebook:/usr/sbin/nologin",
    "logname": "echo bob",
    "runuser": 'env; echo "ARGUMENTS=$*"',
}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment with a first admin; nothing runs."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    return made


def wrapped(directory: Path, **environment: str) -> dict[str, str]:
    """What the installed command hands on when root runs it, by stubs of the system's programs."""
    for name, script in STUBS.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    told = subprocess.run(
        ["sh", str(DIST / "gatebook.sh"), "account", "list"],
        env={"PATH": f"{directory}:{os.environ['PATH']}", "HOME": "/root", **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)


def test_the_wrapper_says_who_called_it(tmp_path: Path) -> None:
    """sudo's caller, else whoever signed in; a home and a state directory that the user has."""
    told = wrapped(tmp_path, SUDO_USER="alice")
    assert told["GATEBOOK_OPERATOR"] == "alice"
    assert told["HOME"] == "/srv/gatebook"
    assert told["XDG_STATE_HOME"] == "/srv/gatebook/.local/state/alice"
    assert told["ARGUMENTS"].endswith("-u gatebook -- /opt/gatebook/bin/gatebook account list")
    assert wrapped(tmp_path)["GATEBOOK_OPERATOR"] == "bob"


def test_the_log_has_his_name(deployment: Deployment) -> None:
    """`local:alice`, and not the user that owns the store; what is no name is not taken."""
    for name in ("alice", "../x y\n"):
        told = program(deployment, "account", "list", environment={"GATEBOOK_OPERATOR": name})
        assert told.returncode == 0, told.stderr
    told = program(deployment, "--json", "audit", "query", "--type", "console.used")
    actors = [json.loads(line)["actor"] for line in told.stdout.splitlines()]
    assert actors[0] == {"type": "local", "id": "alice"}
    assert actors[1]["id"].replace("-", "").isalnum()
    assert actors[1]["id"] != "alice"


def test_a_session_that_cannot_be_kept_is_not_begun(deployment: Deployment) -> None:
    """One line that names the place; the server is not asked."""
    blocked = deployment.directory / "file"
    blocked.touch()
    with deployment.served() as served:
        url = f"http://{served.client.host}:{served.client.port}"
        told = program(
            None,
            *("--server", url, "login", "--username", ADMIN, "--password-stdin"),
            given=ADMIN_PASSWORD,
            environment={"XDG_STATE_HOME": str(blocked)},
        )
        assert served.events("&type=login.succeeded")[:-1] == []  # the last one is the tests' own
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert str(blocked) in line


def test_init_names_what_must_be_kept(tmp_path: Path) -> None:
    """The passphrase's file where there is one, not a key file that does not exist."""
    secret = tmp_path / "passphrase"
    secret.write_text("a passphrase of quite some length\n")
    secret.chmod(0o600)
    config = tmp_path / "gatebook.toml"
    config.write_text('[master_key]\npassphrase_file = "passphrase"\n')
    told = program(None, "--config", str(config), "init")
    assert told.returncode == 0, told.stderr
    assert f"Keep a copy of {secret} somewhere else" in told.stdout
    assert "master.key" not in told.stdout
