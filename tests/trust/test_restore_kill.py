"""A restore that is killed leaves no store that anybody could start on, or the whole of it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment
from tests.trust.evidence import Copy, fill, opened

EVENTS = 3_000
MAIN = "from gatebook.tools.main import main; main()"
DELAYS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.4)
"""Seconds from the first sign of it on, with which all of it is met."""


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request, tmp_path):
    """A deployment without a store, beside a backup of one with some thousand events."""
    server = None
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url()
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    source = Deployment(tmp_path / "source", "sqlite:///gatebook.db")
    source.create()
    with opened(source) as house:
        fill(house, EVENTS)
    paths = ["--keyring", str(tmp_path / "keys")]
    words = ["--config", str(source.config), "store", "backup", str(tmp_path / "log"), *paths]
    assert gatebook(words) == 0
    made = Deployment(tmp_path / "target", url)
    shutil.copy(tmp_path / "source" / "master.key", tmp_path / "target" / "master.key")
    yield made
    if server is not None:
        server.drop(url)


def restore(target):
    """The command, in a process of its own."""
    base = target.directory.parent
    words = ["store", "restore", str(base / "log"), "--keyring", str(base / "keys")]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "--config", str(target.config), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def has_begun(target, connection):
    """Whether the keyring is there, or a transaction under way."""
    if connection is None:
        return (target.directory / "gatebook.keys.db").exists()
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatebook' "
        "AND xact_start IS NOT NULL"
    ).fetchone()
    return bool(found[0])


def test_a_restore_that_is_killed(target, request, capsys):
    """At any moment: what is left is refused in one line, and a second run makes it whole."""
    on_postgres = "postgresql" in request.node.name
    watch = contextlib.nullcontext()
    if on_postgres:
        watch = request.getfixturevalue("postgres").connect()
    with watch as connection:
        killed = kill_again_and_again(target, connection, capsys)
    assert killed >= 1
    assert gatebook(["--config", str(target.config), "store", "verify"]) == 0
    url = str(target.config.read_text()).partition('url = "')[2].partition('"')[0]
    url = url.replace("sqlite:///", f"sqlite:///{target.directory}/")
    ((topic,),) = Copy(url).run(f"SELECT topic FROM log WHERE position = {EVENTS + 1}")
    assert topic == "store.restored.1"
    capsys.readouterr()


def kill_again_and_again(target, connection, capsys):
    """Until one is through: how often a restore was killed before."""
    killed = 0
    for delay in DELAYS:
        process = restore(target)
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and not has_begun(target, connection):
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(delay)
            process.kill()
            output = process.communicate(timeout=30)[0].decode()
        finally:
            process.kill()
            process.communicate()
        if gatebook(["--config", str(target.config), "store", "info"]) == 0:
            break
        said = capsys.readouterr().err
        assert "there is no log at" in said or "there is no keyring" in said, (said, output)
        assert len(said.strip().splitlines()) == 1
        killed += 1
    else:
        done = restore(target)
        output = done.communicate(timeout=60)[0].decode()
        assert done.returncode == 0, output
    return killed
