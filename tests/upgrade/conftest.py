"""A deployment of its own for each test, on both stores, and the command line on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment with a first admin; no server runs."""
    if request.param == "sqlite":
        made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
        made.create()
        yield made
        return
    server = request.getfixturevalue("postgres")
    url = server.url()
    made = Deployment(tmp_path, url, server="workers = 1")
    made.create()
    yield made
    server.drop(url)


@pytest.fixture
def cli(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
