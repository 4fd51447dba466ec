"""Operations: root installs into a directory that belongs to the service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(root: Path) -> None:
    """Runs the installer, with a program in place that is none: only the data counts here."""
    python = root / "opt/gatebook/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    command = ["sh", str(ROOT / "dist/install.sh"), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_links_in_the_data_directory(tmp_path: Path) -> None:
    """What a taken-over service has put there leads root to no other file, and holds it up not."""
    root, precious = tmp_path / "root", tmp_path / "precious"
    data = root / "srv/gatebook"
    data.mkdir(parents=True)
    precious.write_text("mine")
    found = precious.stat()
    before = (found.st_mode, found.st_uid, found.st_mtime_ns)
    for name in ("passphrase.part", "gatebook.toml.new", "gatebook.toml.new.part"):
        (data / name).symlink_to(precious)
    (data / "gatebook.toml").symlink_to(tmp_path / "nothing")
    install(root)
    (data / "gatebook.toml").write_text("# edited\n")
    (data / "gatebook.toml.new").unlink(missing_ok=True)
    (data / "gatebook.toml.new").symlink_to(precious)
    (root / "usr/local/share/gatebook/gatebook.toml").write_text("# an older release's\n")
    install(root)
    assert precious.read_text() == "mine"
    after = precious.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == before
    assert not (tmp_path / "nothing").exists()
    for name, mode in {
        "passphrase": 0o600,
        "gatebook.toml": 0o640,
        "gatebook.toml.new": 0o640,
    }.items():
        found = (data / name).lstat()
        assert found.st_mode == 0o100000 | mode, name
        assert found.st_uid == os.geteuid()
    assert len((data / "passphrase").read_text().strip()) == 43


def test_the_image_has_nothing_but_the_program(tmp_path: Path) -> None:
    """What is copied into a layer is named, holds no secret, and is enough to build from."""
    lines = (ROOT / "dist/Dockerfile").read_text().splitlines()
    copies = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    sources = [name for *names, _target in copies for name in names if names[0][:2] != "--"]
    assert sources
    assert not {".", "./", "data", "secrets"} & set(sources)
    for name in sources:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    made = tmp_path / "made"
    made.mkdir()
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(made)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    for package in ("domain", "projections", "api", "store", "tools"):
        assert f"gatebook/{package}/__init__.py" in names
    assert any(name.startswith("gatebook/api/templates/") for name in names)
