"""The pages' style and script: what is served, how long it is kept, and that the wheel has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gatebook.api.server
from gatebook.api.page_templates import TEMPLATES
from gatebook.api.static_files import TYPES
from tests.api.served import Deployment, Served

API = Path(gatebook.api.server.__file__).parent


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_file(served: Served, name: str) -> None:
    """The very bytes, for an hour; unchanged ones are not sent again."""
    answer = served.client.get(f"/static/{name}")
    content = (API / "static" / name).read_bytes()
    assert (answer.status, answer.raw) == (200, content)
    assert answer.headers["Content-Type"] == TYPES[name]
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    tag = answer.headers["ETag"]
    assert tag == f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    for known in (tag, f'"another", W/{tag}', "*"):
        again = served.client.get(f"/static/{name}", headers={"If-None-Match": known})
        assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", tag)
    other = served.client.get(f"/static/{name}", headers={"If-None-Match": '"another"'})
    assert other.status == 200


@pytest.mark.parametrize(
    "path", ["", "x.css", "../pages.py", "%2e%2e/pages.py", "style.css/", "STYLE.CSS"]
)
def test_nothing_else(served: Served, path: str) -> None:
    """A closed table: no path of the disk is ever built from a request."""
    assert served.client.get(f"/static/{path}").status == 404


def test_every_file_is_in_the_table() -> None:
    """Nothing lies beside the templates and files that are read."""
    assert {one.name for one in (API / "static").iterdir()} == set(TYPES)
    assert {one.name for one in (API / "templates").iterdir()} == {f"{n}.html" for n in TEMPLATES}


def _only_what_is_built(directory: str, names: list[str]) -> set[str]:
    """The packages and what describes them: a build leaves files in the tree that it reads."""
    if Path(directory) != API.parent:
        return {"__pycache__"} & set(names)
    packages = {"domain", "projections", "api", "store", "tools", "dist"}
    return set(names) - packages - {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"}


def test_the_wheel_has_them(tmp_path: Path) -> None:
    """What is installed can show its pages."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    tree = tmp_path / "tree"
    shutil.copytree(API.parent, tree, ignore=_only_what_is_built)
    made = subprocess.run(
        [*command, "-w", str(tmp_path), str(tree)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"},
    )
    assert made.returncode == 0, made.stderr[-2000:]
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    wanted = {f"gatebook/api/static/{name}" for name in TYPES}
    wanted |= {f"gatebook/api/templates/{name}.html" for name in TEMPLATES}
    assert wanted - names == set()


def test_loopback_is_told_at_start(tmp_path: Path) -> None:
    """What is for development says so, in one line; without it there is none."""
    for more, told in (("[outbound]\nallow_loopback_http = true\n", 1), ("", 0)):
        directory = tmp_path / str(told)
        directory.mkdir()
        deployment = Deployment(directory, "sqlite:///gatebook.db", server="workers = 2", more=more)
        deployment.create()
        with deployment.served():
            pass
        lines = [line for line in deployment.log().splitlines() if "allow_loopback_http" in line]
        assert len(lines) == told
        assert all('"level":"warning"' in line for line in lines)
