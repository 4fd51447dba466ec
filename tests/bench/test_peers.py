"""The peers of the speed harness: what is installed answers each of its paths rightly.

Nothing is installed here, and nothing in CI: it takes minutes, and a compiler. What is missing is
skipped; `python -m gatebook.tools.bench --peers` installs it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import msgspec
import pytest

from gatebook.tools.bench.load_python import drive
from gatebook.tools.bench.peers import PACKAGES, PEERS, installing
from gatebook.tools.bench.peers.installing import HERE, Package
from gatebook.tools.bench.peers.running import answer, free_port, started
from gatebook.tools.bench.subject import PATHS, Missing, Request, Subject

LONG = bool(os.environ.get("GATEBOOK_LONG_TESTS"))
QUICK = ("oidc_provider", "django_toolkit")
"""The others take half a minute and more to start."""

SERVER = """\
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


@pytest.mark.parametrize(
    ("package", "subject"),
    [(package, subject) for package, subjects in PACKAGES.items() for subject in subjects],
    ids=lambda one: one.name,
)
def test_an_installed_peer_answers_each_of_its_paths_rightly(
    package: Package, subject: Subject, tmp_path: Path
) -> None:
    """One answer of each kind is right, and each path is one that the report knows."""
    if not package.installed():
        pytest.skip(f"{package.name} is not installed: python -m gatebook.tools.bench --peers")
    if package.name not in QUICK and not LONG:
        pytest.skip("takes long to start: GATEBOOK_LONG_TESTS=1")

    with subject.start(tmp_path) as served:
        pids = served.pids()
        works = [work for path in PATHS if (work := served.work(path))]
        for work in works:
            kinds = {(one.status, one.contains): one for one in reversed(work.requests)}
            for request in kinds.values():
                if work.renewed:
                    continue
                got = answer(served.port, request)
                assert got.right(request), (work.path, got.status, got.text[:300])
            if work.renewed:
                few = msgspec.structs.replace(work, requests=work.requests[:4])
                measured = drive(served.host, served.port, few, 1)
                assert measured.wrong == 0, measured
                assert measured.requests > 4

    assert {"validate, hot", "introspect", "client credentials"} <= {work.path for work in works}
    assert_gone(pids)


def test_a_server_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Neither the program nor a child that it forgets is there after the block."""
    (tmp_path / "server.py").write_text(SERVER)
    port = free_port()

    with started([sys.executable, "server.py", str(port)], tmp_path, port, "/ready") as running:
        pids = running.pids()
        assert answer(port, Request(method="GET", path="/other")).status == 404

    assert len(pids) == 2
    assert_gone(pids)


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """Its last words are in the refusal."""
    command = [sys.executable, "-c", "import sys; sys.exit('no room for me')"]

    with (
        pytest.raises(RuntimeError, match="no room for me"),
        started(command, tmp_path, free_port(), "/"),
    ):
        pass


def test_another_lock_is_another_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package is built once for each text of its lock, and again after a build that failed."""
    monkeypatch.setattr(installing, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(installing, "HERE", tmp_path)
    built: list[int] = []

    def build(directory: Path) -> None:
        assert not list(directory.iterdir())
        (directory / "made").touch()
        built.append(len(built))
        if len(built) == 1:
            raise Missing("no index")

    package = Package(name="one", lock=("lock",), programs=(sys.executable,), build=build)
    (tmp_path / "lock").write_text("version 1")
    with pytest.raises(Missing, match="no index"):
        package.install()
    assert not package.installed()
    package.install()
    package.install()
    assert package.installed()
    assert len(built) == 2

    (tmp_path / "lock").write_text("version 2")

    assert not package.installed()
    package.install()
    assert len(built) == 3


def test_what_is_not_on_the_path_is_named() -> None:
    """A peer whose program is missing refuses, and says which."""
    package = Package(name="one", lock=(), programs=("no-such-program",), build=lambda _: None)

    assert not package.installed()
    with pytest.raises(Missing, match="no-such-program"):
        package.install()


def test_everything_is_pinned() -> None:
    """Each line of a peer's requirements names one version, and no two subjects share a name."""
    lines = [
        line for file in HERE.glob("requirements-*.txt") for line in file.read_text().splitlines()
    ]

    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert len({subject.name for subject in PEERS}) == len(PEERS)


def assert_gone(pids: list[int]) -> None:
    """A child whose parent ended is buried by another process, so a moment later."""
    give_up = time.monotonic() + 5
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < give_up, left
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
