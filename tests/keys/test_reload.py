"""SIGHUP: the new source of the master key is taken over, or refused and nothing changes."""

from __future__ import annotations

import contextlib
import os
import signal

from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served
from tests.keys.conftest import OTHER, configure, private
from tests.keys.test_rotation_load import rotate
from tests.system.family import children, kill, until

PROCESSES = 3
"""Two workers and the follower."""


def all_up(deployment: Deployment, served: Served) -> None:
    """Waits until every process runs."""
    until("all run", lambda: len(children(served)) == PROCESSES)


def test_a_new_source_is_taken_over(sqlite: Deployment) -> None:
    """After a rotation: the former source is refused, the new one taken, without a restart."""
    with sqlite.served() as served:
        all_up(sqlite, served)
        done = rotate(sqlite, "--key-file", str(sqlite.directory / "new"), "--generate")
        assert done.returncode == 0, done.stderr

        os.kill(served.process.pid, signal.SIGHUP)
        until("it is refused", lambda: sqlite.log().count('"reload refused"') == 1)
        assert "former master key" in sqlite.log()
        assert served.token(ADMIN, ADMIN_PASSWORD)
        configure(sqlite, key_file="new")
        os.kill(served.process.pid, signal.SIGHUP)
        until("it is taken", lambda: sqlite.log().count('"reloaded"') == 1)
        assert served.account()["username"]
        assert served.process.poll() is None


def test_a_server_waits_for_its_configuration(sqlite: Deployment) -> None:
    """Workers that die between a rotation and the new configuration come back with a reload."""
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
        os.kill(served.process.pid, signal.SIGHUP)
        until("they are back", lambda: len(children(served, "worker")) == 2)
        until("they answer", lambda: answers(served))
        assert served.token(ADMIN, ADMIN_PASSWORD)


def answers(served: Served) -> bool:
    try:
        return served.client.get("/v1/health").status == 200
    except OSError:
        return False


def test_a_hangup_at_any_moment_kills_nobody(sqlite: Deployment) -> None:
    """SIGHUP to every process, again and again, ends none but those that are replaced."""
    with sqlite.served() as served:
        all_up(sqlite, served)
        for _ in range(20):
            for pid in (served.process.pid, *children(served)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)
        assert served.token(ADMIN, ADMIN_PASSWORD)
        until("reloaded", lambda: sqlite.log().count('"reloaded"') >= 1)
        until("all run", lambda: len(children(served)) == PROCESSES, 30.0)
        assert '"died"' not in sqlite.log()
        assert served.token(ADMIN, ADMIN_PASSWORD)
