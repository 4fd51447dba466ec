"""Where the peers are installed: once, by their locks, outside the sources."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from gatebook.tools.bench.subject import Missing

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".cache" / "peers"
LONGEST = 900.0
"""Seconds: a compiler may be at work."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed in a directory of its own, and anew when one of its lock files changes."""

    name: str
    lock: tuple[str, ...]
    """Names of files beside this one."""
    programs: tuple[str, ...]
    """What must be on the path to install and to run it."""
    build: Callable[[Path], None]

    @property
    def directory(self) -> Path:
        return CACHE / self.name

    def installed(self) -> bool:
        """Whether it is here as its lock says, and can run."""
        stamp = self.directory / "stamp"
        return stamp.is_file() and stamp.read_text() == self._wanted() and not self._absent()

    def install(self) -> Path:
        """Its directory, with everything in it. Raises Missing."""
        if absent := self._absent():
            raise Missing(f"{self.name} needs {', '.join(absent)} on the path: install it")
        if not self.installed():
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True)
            self.build(self.directory)
            # Last: without it, an installation that was cut short is done again.
            (self.directory / "stamp").write_text(self._wanted())
        return self.directory

    def _absent(self) -> list[str]:
        return [program for program in self.programs if shutil.which(program) is None]

    def _wanted(self) -> str:
        text = b"\0".join((HERE / name).read_bytes() for name in self.lock)
        return hashlib.sha256(text).hexdigest()


def run(command: list[str], directory: Path, advice: str) -> None:
    """Runs a step of an installation. Raises Missing with the advice if it fails."""
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{command[0]} took more than {LONGEST:.0f} s; {advice}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(f"{Path(command[0]).name} failed ({' '.join(last)}); {advice}")


def python_packages(requirements: str) -> Callable[[Path], None]:
    """A virtual environment with what a requirements file beside this one pins."""

    def build(directory: Path) -> None:
        advice = f"pip must reach an index with what {requirements} pins"
        run([sys.executable, "-m", "venv", "venv"], directory, advice)
        pip = [str(directory / "venv/bin/python"), "-m", "pip", "install", "--no-deps", "-q"]
        run([*pip, "-r", str(HERE / requirements)], directory, advice)

    return build
