"""A store that is away at the start: whoever starts services must start this one again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.served import Deployment
from tests.attacks.tools import program

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
UNIT = Path(__file__).parents[2] / "dist" / "gatebook.service"


@pytest.fixture
def away(tmp_path: Path) -> Deployment:
    """A good configuration, and no database where it says."""
    return Deployment(tmp_path, NOWHERE)


def test_serve(away: Deployment) -> None:
    """Code 3 and one line; 78 is for what no second start mends."""
    command = [sys.executable, "-m", "gatebook.api", str(away.config)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 3
    (line,) = refused.stderr.splitlines()
    assert "cannot be reached" in line
    assert "\t" not in line


def test_systemd_starts_it_again() -> None:
    """After any failure but 78, however often."""
    lines = set(UNIT.read_text().splitlines())
    wanted = {"Restart=on-failure", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0"}
    assert wanted <= lines


@pytest.mark.parametrize(
    "words", [("account", "list"), ("store", "info"), ("key", "status"), ("init",)], ids=" ".join
)
def test_commands(away: Deployment, words: tuple[str, ...]) -> None:
    """Code 3 and one line."""
    told = program(away, *words)
    assert told.returncode == 3, told.stderr
    (line,) = told.stderr.splitlines()
    assert "cannot be reached" in line
    assert "\ufffd" not in line


def test_doctor(away: Deployment) -> None:
    """It says that the store is away, which is no fault of the configuration."""
    told = program(away, "--json", "doctor")
    assert told.returncode == 3, told.stdout
    (found,) = [one for one in json.loads(told.stdout) if one["check"] == "log and keyring"]
    assert found["state"] == "unavailable"
    assert "[store] url" in found["mend"]
    assert "\n" not in found["found"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database does not become one by waiting."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    deployment.create()
    for name in ("gatebook.db-wal", "gatebook.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "gatebook.db").write_bytes(b"not a database" * 1000)
    assert program(deployment, "account", "list").returncode == 78
