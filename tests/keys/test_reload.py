"""SIGHUP: the new source of the master key is taken over, or refused and nothing changes."""

from __future__ import annotations

import os
import signal

from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served
from tests.keys.conftest import OTHER, configure, private
from tests.keys.test_rotation_load import rotate
from tests.system.family import children, kill, until

PROCESSES = 3
"""Two workers and the follower."""


def all_up(deployment: Deployment, served: Served) -> None:
    """Waits until every process has read the configuration, and answers SIGHUP."""
    until("all run", lambda: len(children(served)) == PROCESSES)
    os.kill(served.process.pid, signal.SIGHUP)
    until("all reloaded", lambda: deployment.log().count('"reloaded"') == PROCESSES)


def test_a_new_source_is_taken_over(sqlite: Deployment) -> None:
    """After a rotation: the former source is refused, the new one taken, without a restart."""
    with sqlite.served() as served:
        all_up(sqlite, served)
        before = children(served)
        done = rotate(sqlite, "--key-file", str(sqlite.directory / "new"), "--generate")
        assert done.returncode == 0, done.stderr

        os.kill(served.process.pid, signal.SIGHUP)
        until("all refused", lambda: sqlite.log().count('"reload refused"') == PROCESSES)
        assert "former master key" in sqlite.log()
        assert served.token(ADMIN, ADMIN_PASSWORD)
        configure(sqlite, key_file="new")
        os.kill(served.process.pid, signal.SIGHUP)
        until("all reloaded", lambda: sqlite.log().count('"reloaded"') == 2 * PROCESSES)
        assert served.account()["username"]
        assert set(before) <= set(children(served))


def test_a_configuration_that_is_wrong_changes_nothing(sqlite: Deployment) -> None:
    """An unknown key, a file that is not there: refused in one line, and the service goes on."""
    good = sqlite.config.read_text()
    with sqlite.served() as served:
        all_up(sqlite, served)
        for number, bad in enumerate((good + "\n[nonsense]\na = 1\n", "[master_key]\n"), start=1):
            sqlite.config.write_text(bad)
            os.kill(served.process.pid, signal.SIGHUP)
            expected = number * PROCESSES
            until("refused", lambda n=expected: sqlite.log().count('"reload refused"') == n)
            assert served.account()["username"]
        sqlite.config.write_text(good)


def test_a_server_waits_for_its_configuration(sqlite: Deployment) -> None:
    """A worker that dies between a rotation and the new configuration comes back with that."""
    private(sqlite.directory / "new", OTHER)
    with sqlite.served() as served:
        all_up(sqlite, served)
        done = rotate(sqlite, "--passphrase-file", str(sqlite.directory / "new"))
        assert done.returncode == 0, done.stderr
        for pid in children(served, "worker"):
            kill(pid)
        until("they are refused", lambda: sqlite.log().count('"refused"') >= 8, 30.0)
        assert served.process.poll() is None
        configure(sqlite, passphrase_file="new")
        until("they are back", lambda: len(children(served, "worker")) == 2)
        assert served.token(ADMIN, ADMIN_PASSWORD)


def test_a_hangup_at_any_moment_kills_nobody(sqlite: Deployment) -> None:
    """SIGHUP to a child that has just been started waits until it can be answered."""
    with sqlite.served() as served:
        all_up(sqlite, served)
        before = children(served, "worker")
        kill(before[0])
        until("a new one", lambda: len(children(served, "worker")) == 2
              and children(served, "worker") != before)  # fmt: skip
        now = children(served, "worker")
        for _ in range(20):
            for pid in (served.process.pid, *now):
                os.kill(pid, signal.SIGHUP)
        assert served.token(ADMIN, ADMIN_PASSWORD)
        until("reloaded", lambda: sqlite.log().count('"reloaded"') >= 2 * PROCESSES)
        assert children(served, "worker") == now
        assert sqlite.log().count('"died"') == 1
