"""Nothing secret in a core dump, in the environment of a child, or in what an error says."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gatebook.store.house import open_house
from gatebook.store.master_key import lend, taken
from gatebook.store.settings import ConfigurationError, Settings
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.keys.conftest import OTHER, PASSPHRASE, configure, opened_house, private
from tests.keys.test_rotation_load import PROGRAM, rotate
from tests.system.family import children, kill, replaced, until

VARIABLE = "GATEBOOK_TEST_PASSPHRASE"


def by_environment(deployment: Deployment) -> None:
    """Makes it a deployment whose passphrase comes from the environment."""
    private(deployment.directory / "old", PASSPHRASE)
    done = rotate(deployment, "--passphrase-file", str(deployment.directory / "old"))
    assert done.returncode == 0, done.stderr
    (deployment.directory / "old").unlink()
    configure(deployment, passphrase_env=VARIABLE)


def family(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, listed)]


def test_no_process_that_holds_keys_dumps_core(sqlite: Deployment) -> None:
    """Supervisor, workers and follower: RLIMIT_CORE is 0, hard and soft; memory is root's alone."""
    with sqlite.served() as served:
        until("all run", lambda: len(children(served)) == 3)
        until("all have begun", lambda: all(_core(pid) == ["0", "0"] for pid in children(served)))
        for pid in family(served.process.pid):
            assert _core(pid) == ["0", "0"], pid
            # Not dumpable: the files that show its memory belong to root, whoever runs it.
            assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


def _core(pid: int) -> list[str]:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.split()[4:6]
    raise AssertionError("no limit is named")


def test_a_worker_that_aborts_leaves_no_core(sqlite: Deployment) -> None:
    """Killed by SIGABRT, as a defect in native code would: nothing is written, the next runs."""
    with sqlite.served() as served:
        until("all have begun", lambda: all(_core(pid) == ["0", "0"] for pid in children(served)))
        before = children(served, "worker")
        kill(before[0], signal.SIGABRT)
        replaced(served, "worker", before)
    assert not [path for path in sqlite.directory.rglob("*") if "core" in path.name]


def test_a_passphrase_leaves_the_environment(sqlite, monkeypatch):
    """It is taken out when it is read, is remembered by this process, and no child inherits it."""
    by_environment(sqlite)
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    opened_house(sqlite).close()
    assert VARIABLE not in os.environ
    code = f"import os, sys; sys.exit({VARIABLE!r} in os.environ)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    opened_house(sqlite).close()
    monkeypatch.setenv(VARIABLE, OTHER)
    with pytest.raises(ConfigurationError):
        open_house(Settings.load(sqlite.config, {}))
    lend(VARIABLE, PASSPHRASE.encode())
    assert taken(VARIABLE) == PASSPHRASE.encode()


def test_workers_are_lent_the_passphrase(sqlite, monkeypatch):
    """A server by environment: children have it outside their environment, later ones too."""
    by_environment(sqlite)
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    with sqlite.served() as served:
        until("all run", lambda: len(children(served)) == 3)
        before = children(served, "worker")
        for pid in children(served):
            assert PASSPHRASE.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert PASSPHRASE.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        kill(before[0])
        replaced(served, "worker", before)
        assert served.token(ADMIN, ADMIN_PASSWORD)
    assert PASSPHRASE not in sqlite.log()


def test_errors_say_nothing_secret(sqlite, monkeypatch):
    """A damaged row, a wrong key, a store that fails: no key and no passphrase is told anywhere."""
    by_environment(sqlite)
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    house = opened_house(sqlite)
    master, subject = house.masters.key, house.keyring._ensure("purpose:test")
    house.close()
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # the house took it out
    canaries = [PASSPHRASE.encode(), OTHER.encode()]
    canaries += [form for key in (master, subject) for form in (key, key.hex().encode())]
    keys = sqlite.directory / "gatebook.keys.db"
    said: list[bytes] = []
    with sqlite.served() as served:
        account, client = served.signed_in()
        admin = served.admin
        with sqlite3.connect(keys) as connection:
            connection.execute(
                "UPDATE keys SET wrapped = substr(wrapped, 1, 40) WHERE name = ?",
                (f"subject:{account['id']}",),
            )
        connection.close()
        until(
            "the damage is met",
            lambda: admin.get(f"/v1/accounts/{account['id']}").status >= 500,
        )
        for answer in (
            admin.get(f"/v1/accounts/{account['id']}"),
            client.get("/v1/auth/me"),
            served.client.post(
                "/v1/auth/login", {"username": account["username"], "password": "x"}
            ),
            admin.get("/v1/audit?limit=500"),
        ):
            said.append(answer.raw + str(answer.headers).encode())
        keys.rename(sqlite.directory / "gone")
        said.append(admin.post("/v1/accounts", {"username": "late", "type": "human"}).raw)
        (sqlite.directory / "gone").rename(keys)
    private(sqlite.directory / "wrong", OTHER)
    private(sqlite.directory / "half", PASSPHRASE.encode().hex()[:40])
    for line in ("passphrase_file = 'wrong'", "key_file = 'half'", "passphrase_env = 'NOBODY'"):
        name, _, value = line.replace("'", "").partition(" = ")
        configure(sqlite, **{name: value})
        done = subprocess.run(
            [*PROGRAM, "--config", str(sqlite.config), "account", "list"],
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 78, done.stderr
        said.append(done.stdout + done.stderr)
    said.append(sqlite.log().encode())
    said.append((sqlite.directory / "gatebook.db").read_bytes())
    assert b"Traceback" not in b"".join(said[:-1])
    for canary in canaries:
        assert not [place for place, text in enumerate(said) if canary in text]
