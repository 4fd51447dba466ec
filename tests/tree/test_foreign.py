"""Checkpoints, proofs and tiles of the API, held against verifiers that nobody here wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatebook.api.local import local_client
from gatebook.store.house import House
from gatebook.store.tree_signer import TreeSigner
from tests.tree.conftest import happen

HERE = Path(__file__).parent / "foreign"
GO_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin")


@pytest.fixture
def client(house: House) -> Iterator[httpx.Client]:
    """The whole API in this process, as an auditor would call it."""
    with local_client(house, "auditor", "test") as client:
        assert client.get("/v1/audit/checkpoint").status_code in (200, 404)
        yield client


def text(client: httpx.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def published(house: House, client: httpx.Client, directory: Path) -> None:
    """All that an auditor can fetch: heads of several sizes, proofs between them, all tiles."""
    signer, notes = TreeSigner(house), []
    for events in (1, 7, 120, 200, 1, 260):
        happen(house, events)
        signer.round()
        notes.append(text(client, "/v1/audit/checkpoint"))
        _tiles(client, directory, int(notes[-1].split("\n")[1]))
    end = int(notes[-1].split("\n")[1])
    positions = (1, 2, 3, 128, 255, 256, 257, 512, 513, end - 1, end)
    shown = [client.get(f"/v1/audit/events/{position}").json()["proof"] for position in positions]
    pairs = [(first, second) for at, first in enumerate(notes) for second in notes[at:]]
    found: dict[str, Any] = {
        "key": text(client, "/v1/audit/checkpoint/key").strip(),
        "inclusion": shown,
        "consistency": [_between(client, *pair) for pair in pairs],
    }
    (directory / "published.json").write_text(json.dumps(found))


def _between(client: httpx.Client, first: str, second: str) -> dict[str, Any]:
    sizes = [note.split("\n")[1] for note in (first, second)]
    answer = client.get(f"/v1/audit/proof/consistency?from={sizes[0]}&to={sizes[1]}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["checkpoint"] == second
    return {"first": first, "second": second, **answer.json()}


def _tiles(client: httpx.Client, directory: Path, size: int) -> None:
    """Every tile of a tree, full and partial, under the path that it was served at."""
    for kind, level in (("0", 0), ("1", 1), ("2", 2), ("entries", 0)):
        count = size >> 8 * level
        names = [f"{tile:03}" for tile in range(count // 256)]
        if count % 256:
            names.append(f"{count // 256:03}.p/{count % 256}")
        for name in names:
            path = directory / "tile" / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            answer = client.get(f"/tlog/tile/{kind}/{name}")
            assert answer.status_code == 200, answer.text
            path.write_bytes(answer.content)


def checked(command: list[str], directory: Path, **more: str) -> str:
    done = subprocess.run(
        [*command, str(directory)],
        cwd=HERE,
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(scope="session")
def python_path(request: pytest.FixtureRequest) -> Path:
    """Where the pure Python verifier is, installed once by its committed hash."""
    assert request.config.cache is not None
    directory = request.config.cache.mkdir("gatebook-tlog")
    wanted = (HERE / "requirements.txt").read_bytes()
    mark = directory / "requirements.txt"
    if not mark.is_file() or mark.read_bytes() != wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        command += ["--ignore-requires-python", "--require-hashes", "--target", str(directory)]
        command += ["--requirement", str(HERE / "requirements.txt")]
        made = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert made.returncode == 0, made.stderr[-2000:]
        mark.write_bytes(wanted)
    return directory


@pytest.fixture(scope="session")
def go() -> str:
    """The go command. Without it the test is skipped: the other verifier runs anywhere."""
    places = os.pathsep.join((os.environ.get("PATH", ""), *GO_PLACES))
    found = shutil.which("go", path=places)
    if found is None:
        pytest.skip("there is no go")
    return found


def test_a_python_verifier_agrees(house, client, tmp_path, python_path):
    """Notes, every proof, every tile and every entry, by a published package of C2SP formats."""
    published(house, client, tmp_path)
    said = checked([sys.executable, "check.py"], tmp_path, PYTHONPATH=str(python_path))
    assert said == "11 inclusion, 21 consistency"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_go_checksum_database_agrees(house, client, tmp_path, go):
    """The same by golang.org/x/mod/sumdb, the code that guards the Go module ecosystem."""
    published(house, client, tmp_path)
    said = checked([go, "run", "."], tmp_path, GOTOOLCHAIN="local")
    assert said == "11 inclusion, 21 consistency"
