"""The night's backup: what it keeps, and what it lets go, whether it succeeds or not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "dist" / "backup"
GATEBOOK = """#!/bin/sh
[ "$1" = store ] || exit 0
case $OUTCOME in
good) : >"$3"; : >"$5" ;;
bad) : >"$3.bad"; : >"$5"; exit 1 ;;
none) exit 3 ;;
esac
"""


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """A directory with copies of many nights, one a night, the newest of yesterday."""
    program = tmp_path / "gatebook"
    program.write_text(GATEBOOK)
    program.chmod(0o755)
    for kind, suffixes in {"log": ("log", "log.bad"), "keyring": ("keys",)}.items():
        (tmp_path / kind).mkdir()
        for days in (1, 29, 31, 89, 91, 200):
            at = time.time() - days * 86_400
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
            for suffix in suffixes:
                path = tmp_path / kind / f"{stamp}.gatebook-{suffix}"
                path.touch()
                os.utime(path, (at, at))
    return tmp_path


def ages(directory: Path, pattern: str) -> list[int]:
    """How many days old the files are, the youngest first."""
    return sorted(
        round((time.time() - path.stat().st_mtime) / 86_400) for path in directory.glob(pattern)
    )


def night(directory: Path, outcome: str) -> int:
    """One night's run. Returns its exit code."""
    return subprocess.run(
        ["sh", str(SCRIPT)],
        env={
            "PATH": os.environ["PATH"],
            "GATEBOOK": str(directory / "gatebook"),
            "GATEBOOK_BACKUPS": str(directory),
            "OUTCOME": outcome,
        },
        timeout=30,
    ).returncode


@pytest.mark.parametrize(
    ("outcome", "code", "logs", "keyrings", "bad"),
    [
        ("good", 0, [0, 1, 29, 31, 89], [0, 1, 29], [1, 200]),
        ("bad", 1, [1, 29, 31, 89, 91, 200], [0, 1, 29], [0, 200]),
        ("none", 1, [1, 29, 31, 89, 91, 200], [1, 29], [1, 200]),
    ],
)
def test_what_is_left(
    backups: Path, outcome: str, code: int, logs: list[int], keyrings: list[int], bad: list[int]
) -> None:
    """Keyrings go after thirty days always; good logs only when there is a new one; two .bad."""
    assert night(backups, outcome) == code
    assert ages(backups, "log/*.gatebook-log") == logs
    assert ages(backups, "keyring/*.gatebook-keys") == keyrings
    assert ages(backups, "log/*.bad") == bad


def test_the_last_one_stays(backups: Path) -> None:
    """However old it is: nothing else is left to restore from."""
    for path in [*backups.glob("log/*"), *backups.glob("keyring/*")]:
        if round((time.time() - path.stat().st_mtime) / 86_400) != 200:
            path.unlink()
    assert night(backups, "none") == 1
    assert ages(backups, "keyring/*") == [200]
    assert ages(backups, "log/*.gatebook-log") == [200]
