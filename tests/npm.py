"""Programs of npm, installed once by their committed lock, outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def installed(config: pytest.Config, folder: Path, name: str) -> Path:
    """A directory with the packages of a folder's package-lock.json and our programs beside them.

    Without Node.js the test is skipped, but fails in CI.
    """
    if shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js and npm are needed: apt-get install nodejs npm")
        pytest.skip("there is no npm")
    cache = config.cache
    assert cache is not None
    directory = cache.mkdir(name)
    for file in ("package.json", "package-lock.json"):
        wanted = (folder / file).read_bytes()
        if not (directory / file).is_file() or (directory / file).read_bytes() != wanted:
            shutil.rmtree(directory / "node_modules", ignore_errors=True)
            (directory / file).write_bytes(wanted)
    if not (directory / "node_modules").is_dir():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        made = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240)
        assert made.returncode == 0, made.stderr[-2000:]
    for program in folder.glob("*.mjs"):
        shutil.copy(program, directory / program.name)
    return directory
