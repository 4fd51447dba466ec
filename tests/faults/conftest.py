"""Disks and clocks that a test may hurt."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment
from tests.system.conftest import SERVER


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leaves no byte of room."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Mounts an empty tmpfs of eight megabytes at a name; all are gone after the test."""
    mounted: list[Path] = []

    def mount(name: str) -> Disk:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(path)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a disk of its own")
        mounted.append(path)
        return Disk(path)

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class Clock:
    """What a started server takes for the time: the machine's, moved by some seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)
        before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        program = Path(__file__).parent / "program"
        self.environment = {
            "PYTHONPATH": os.pathsep.join([str(program), *before]),
            "CLOCK_FILE": str(file),
        }

    def set(self, seconds: int) -> None:
        moved = self._file.with_suffix(".new")
        moved.write_text(f"{seconds}\n")
        moved.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock of the test's own."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def sqlite(tmp_path: Path) -> Deployment:
    """A deployment with a first admin, on SQLite; nothing runs yet."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER)
    deployment.create()
    return deployment
