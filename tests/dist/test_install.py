"""The installer, run as an operator would: into a directory of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, as a release ships it."""
    folder = tmp_path_factory.mktemp("sdist")
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, folder)
    (found,) = folder.glob("gatebook-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def installed(sdist: Path) -> Iterator[Path]:
    """A root directory that `install.sh` has filled from the source distribution.

    Not below pytest's own, into which no other user may look.
    """
    with tempfile.TemporaryDirectory(prefix="gatebook-root-", dir="/tmp") as directory:
        root = Path(directory)
        root.chmod(0o755)
        before = os.umask(0o077)  # as a hardened root has it
        try:
            install(root, "--wheel", str(sdist))
        finally:
            os.umask(before)
        yield root


def run(*command: object, **more: str) -> str:
    """What a command says. It must succeed."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(root: Path, *more: str) -> str:
    """Runs the installer."""
    return run("sh", ROOT / "dist" / "install.sh", "--root", root, *more)


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file outside the virtual environment: its mode and content."""
    places = [root / "srv", root / "usr", root / "opt/gatebook/libexec"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes()) for path in files}


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what it would do, line by line."""
    said = install(tmp_path, "--dry-run")
    assert "would run:" in said
    assert "Installed" not in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_installed_runs(installed: Path, tmp_path: Path) -> None:
    """The program from the source distribution makes a store and says that all is well."""
    gatebook = installed / "usr/local/bin/gatebook"
    program = {"GATEBOOK_PROGRAM": str(installed / "opt/gatebook/bin/gatebook")}
    config = str(tmp_path / "data" / "gatebook.toml")
    wrapped = ["sh", str(gatebook)]
    if os.geteuid() == 0:
        wrapped = [program["GATEBOOK_PROGRAM"]]  # there is no user gatebook here
    run(*wrapped, "init", "--data-dir", tmp_path / "data", "--first-admin", "admin", **program)
    said = run(*wrapped, "doctor", **program, GATEBOOK_CONFIG=config)
    assert "without a gap" in said
    assert (installed / "srv/gatebook").stat().st_mode & 0o777 == 0o750
    assert (installed / "srv/gatebook/passphrase").stat().st_mode & 0o777 == 0o600


def test_the_installed_release_passes_what_a_client_sees(installed: Path) -> None:
    """The acceptance tests, against servers of the installed program instead of the checkout."""
    said = run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/acceptance/test_tokens.py",
        GATEBOOK_TEST_PYTHON=str(installed / "opt/gatebook/bin/python"),
    )
    assert " passed" in said
    assert "failed" not in said


def test_others_may_run_it_whatever_the_umask(installed: Path) -> None:
    """Every directory on the way to the program, and the program, are open to the service."""
    program = installed / "opt/gatebook/bin/gatebook"
    assert program.stat().st_mode & 0o005 == 0o005
    for folder in (installed / "opt/gatebook", *(installed / "opt/gatebook").rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            assert folder.stat().st_mode & 0o005 == 0o005, folder


def test_what_the_source_distribution_holds(sdist: Path) -> None:
    """All that its README refers to, and all that the installer needs."""
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    documents = {"RUNBOOK.md", "SECURITY.md", "CHANGELOG.md", "DECISIONS.md", "requirements.lock"}
    assert documents <= names
    shipped = {str(path.relative_to(ROOT)) for path in (ROOT / "dist").rglob("*") if path.is_file()}
    assert {name for name in shipped if not name.endswith((".whl", ".gz"))} <= names


def test_the_manual_is_installed(installed: Path) -> None:
    """Where man looks in a prefix: share/man."""
    assert (installed / "opt/gatebook/share/man/man1/gatebook.1").is_file()


def may_run(user: str, program: str) -> bool:
    """Whether a user may run a program: a Python in somebody's home he may not."""
    command = ["runuser", "-u", user, "--", "test", "-x", str(Path(program).resolve())]
    return subprocess.run(command, timeout=10).returncode == 0


@pytest.fixture
def somebody() -> Iterator[tuple[list[str], Path]]:
    """Another user, where there can be one: what to put before his commands, and his directory."""
    before: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gatebook-data-", dir="/tmp") as directory:
        if os.geteuid() == 0 and may_run("nobody", sys.executable):
            before = ["runuser", "-u", "nobody", "--"]
            shutil.chown(directory, "nobody")
        yield [*before, "env", "-i", f"HOME={directory}", "PATH=/usr/bin:/bin"], Path(directory)


def test_from_nothing_to_a_verified_backup(
    installed: Path, somebody: tuple[list[str], Path]
) -> None:
    """The runbook's way, as a user who has nothing but the installed program."""
    before, home = somebody
    gatebook = [*before, installed / "opt/gatebook/bin/gatebook"]
    data = home / "data"
    run(*gatebook, "init", "--data-dir", data)
    gatebook += ["--config", data / "gatebook.toml"]
    words = ("--json", "account", "create", "--username", "ann", "--admin", "--password-stdin")
    made = subprocess.run(
        [*map(str, gatebook), *words],
        input="a quiet lantern over the harbour\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(made.stdout)["id"], made.stderr
    listen = "GATEBOOK__SERVER__LISTEN=127.0.0.1:0"
    server = subprocess.Popen(
        [*before, listen, *map(str, gatebook[len(before) :]), "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        ready, _, _ = select.select([server.stdout], [], [], 60)
        line = server.stdout.readline() if ready else ""
        address = line.rpartition(" ")[2].strip()
        body = {"username": "ann", "password": "a quiet lantern over the harbour"}
        request = urllib.request.Request(
            f"{address}/v1/auth/login",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        time.sleep(1.5)  # until a head covers the sign-in
        assert "all agrees" in run(*gatebook, "audit", "verify")
        run(*gatebook, "store", "backup", home / "log.backup", "--keyring", home / "keys.backup")
        key = run(*gatebook, "audit", "checkpoint", "--key").strip()
    finally:
        server.terminate()
        server.wait(60)
        assert server.stdout is not None
        server.stdout.close()
    verify = [*before, installed / "opt/gatebook/bin/python", "-m", "gatebook.tools.verify"]
    assert "all agrees" in run(*verify, "--log", home / "log.backup", "--key", key)
    assert (home / "keys.backup").stat().st_mode & 0o777 == 0o600


def test_running_it_again_keeps_what_is_there(installed: Path, sdist: Path) -> None:
    """A second run changes nothing; an edited configuration stays, a changed example beside it."""
    before = state(installed)
    config = installed / "srv/gatebook/gatebook.toml"
    edited = config.read_text() + "# mine\n"
    config.write_text(edited)
    kept = state(installed)
    install(installed, "--wheel", str(sdist))
    assert state(installed) == kept

    unit = installed / "usr/local/lib/systemd/system/gatebook.service"
    unit.write_text("# an older release's\n")
    example = installed / "usr/local/share/gatebook/gatebook.toml"
    example.write_text("# an older release's\n")
    install(installed, "--wheel", str(sdist))
    assert config.read_text() == edited
    assert (config.with_name("gatebook.toml.new")).read_bytes() == before[
        "srv/gatebook/gatebook.toml"
    ][1]
    assert unit.read_bytes() == before["usr/local/lib/systemd/system/gatebook.service"][1]
    assert state(installed)["srv/gatebook/passphrase"] == before["srv/gatebook/passphrase"]
