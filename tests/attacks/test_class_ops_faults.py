"""Operations: what stands around the service fails, and the service goes on."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.served import PROGRAM, Deployment, Served
from tests.faults.conftest import Disk, disk  # noqa: F401 - a fixture
from tests.system.family import children, until

FEW = 96
"""Descriptors: enough to serve, too few for who comes."""


def test_no_room_for_the_small_files(disk: object, own: Deployment) -> None:  # noqa: F811
    """With `slots` full it starts and reloads all the same, and the log has the outcome."""
    full: Disk = disk("slots")  # type: ignore[operator]  # see tests.faults.conftest
    full.fill()
    with own.served() as served:
        served.process.send_signal(signal.SIGHUP)
        until("it is reloaded", lambda: '"reloaded"' in own.log(), 30)
        until("the new ones answer", lambda: served.client.get("/v1/health").status == 200)
        assert served.process.poll() is None
    assert "Traceback" not in own.log()


@pytest.fixture(scope="module")
def among_traps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A server with all that is set below in its way, and a directory that none of it may touch."""
    directory, apart = tmp_path_factory.mktemp("traps"), tmp_path_factory.mktemp("apart")
    deployment = Deployment(directory, "sqlite:///gatebook.db", server="workers = 1\nthreads = 4")
    deployment.create()
    slots = directory / "slots"
    slots.mkdir(mode=0o700, exist_ok=True)
    (apart / "kept").write_text("mine")
    (slots / "metrics").symlink_to(apart)
    for name in ("supervisor.pid", "supervisor.lock", "reload.json"):
        (slots / name).unlink(missing_ok=True)
        (slots / name).mkdir()
    anybodys = tmp_path_factory.mktemp("anybodys")
    for name in ("json", "falcon", "msgspec", "argparse"):
        (anybodys / f"{name}.py").write_text(f"open({str(apart / 'ran')!r}, 'w')\n")
    # -P for the program itself only: as an installed script it has its own directory in that place.
    few = f'cd {anybodys}; ulimit -Sn 256; exec "$@"'
    start = ["sh", "-c", few, "sh", PROGRAM, "-P", "-m", "gatebook.api", str(deployment.config)]
    with begun(deployment, start) as served:
        yield served, apart


def test_something_else_stands_there(among_traps: tuple[Served, Path]) -> None:
    """Directories and a link in the place of its small files are in nobody's way, and stay."""
    served, apart = among_traps
    assert served.client.get("/v1/health").status == 200
    assert served.admin.get("/metrics").status == 200
    assert (apart / "kept").read_text() == "mine"
    assert "Traceback" not in served.deployment.log()


def test_modules_of_the_working_directory(among_traps: tuple[Served, Path]) -> None:
    """Nobody who may write where the server was started has it run his code."""
    _served, apart = among_traps
    assert [path.name for path in apart.iterdir()] == ["kept"]


def test_the_soft_limit_is_raised(among_traps: tuple[Served, Path]) -> None:
    """What a shell allows by itself is fewer descriptors than a worker takes connections."""
    served, _apart = among_traps
    (worker,) = children(served, "worker")
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 65_536)


@contextmanager
def begun(deployment: Deployment, command: list[str]) -> Iterator[Served]:
    """A server that was started by this very command."""
    with deployment.stderr.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        yield Served(deployment, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0, deployment.log()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("engine", ["waitress", "granian"])
def test_out_of_descriptors(engine: str, tmp_path: Path) -> None:
    """More connections than descriptors: no log line for each, no core spent, then as before."""
    deployment = Deployment(
        tmp_path,
        "sqlite:///gatebook.db",
        server=f'workers = 1\nthreads = 4\nengine = "{engine}"',
    )
    deployment.create()
    limited = f'ulimit -n {FEW}; exec "$@"'
    start = ["sh", "-c", limited, "sh", PROGRAM, "-m", "gatebook.api", str(deployment.config)]
    with begun(deployment, start) as served:
        served.settle()
        (worker,) = children(served, "worker")
        before, said = spent(worker), deployment.stderr.stat().st_size
        address = served.client.host, served.client.port
        held = [socket.create_connection(address, timeout=5) for _ in range(FEW + 40)]
        try:
            time.sleep(3)
        finally:
            for one in held:
                one.close()
        assert spent(worker) - before < 1.0
        assert deployment.stderr.stat().st_size - said < 50_000
        until("it answers", lambda: served.client.get("/v1/ready").status == 200)


def spent(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
