"""The command line about the past: nothing that was asked is left out, no file is led astray."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment, Served

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment with two accounts; no server runs."""
    made = Deployment(tmp_path_factory.mktemp("asked"), "sqlite:///gatebook.db")
    made.create()
    return made


@pytest.fixture
def cli(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        capsys.readouterr()
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("first-admin", "--role", "auditor"),
        ("first-admin", "--permission", "audit.read"),
        ("--roles", "--role", "auditor"),
        ("--jti", "00000000-0000-7000-8000-000000000000", "--role", "auditor"),
    ],
)
def test_a_filter_that_would_not_count_is_refused(cli: Run, words: tuple[str, ...]) -> None:
    """An account shown beside `--role` would read as if he had held it."""
    code, output, errors = cli("audit", "as-of", "3", *words)
    assert (code, output) == (2, "")
    assert "--role and --permission" in errors


def test_a_misspelt_permission_is_no_empty_answer(cli: Run) -> None:
    """Nobody holds what there is not, and that reads as if nobody held it."""
    code, output, errors = cli("audit", "as-of", "3", "--permission", "acounts.read")
    assert (code, output) == (1, "")
    assert "There is no permission 'acounts.read'." in errors


def test_a_page_is_written_to_nobody_elses_file(cli: Run, tmp_path: Path) -> None:
    """Links that stand where a temporary file could be are not written through."""
    page, precious = tmp_path / "life.html", tmp_path / "precious"
    precious.write_text("as it was")
    for name in ("life.html", "life.html.new", "life.html.part", "life.html.tmp"):
        (tmp_path / name).symlink_to(precious)
    code, _output, errors = cli("audit", "timeline", "first-admin", "--html", str(page))
    assert code == 0, errors
    assert precious.read_text() == "as it was"
    assert not page.is_symlink()
    assert page.read_text().startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == [
        "life.html",
        "life.html.new",
        "life.html.part",
        "life.html.tmp",
        "precious",
    ]


def test_the_erased_have_no_credentials_any_more(cli: Run) -> None:
    """A bar that went on to the end said that a password was left of somebody who is gone."""
    assert cli("account", "create", "--username", "mallory", "--type", "system")[0] == 0
    account_id = cli("account", "show", "mallory")[1].split()[1]
    assert cli("apikey", "create", "mallory", "--name", "ci")[0] == 0
    assert cli("role", "grant", "mallory", "viewer")[0] == 0
    assert cli("--yes", "account", "erase", "mallory")[0] == 0
    code, output, errors = cli("--json", "audit", "timeline", account_id)
    assert code == 0, errors
    ends = {one["group"]: one["end"] for one in json.loads(output)["bands"]}
    assert ends.pop("Status") is None
    assert set(ends) == {"Credentials", "Roles"}
    assert None not in ends.values()


def test_a_misspelt_permission_over_http(served: Served) -> None:
    """The same over HTTP, where programs would take the empty list for an answer."""
    answer = served.admin.get("/v1/audit/access?permission=acounts.read")
    assert answer.status == 400
    assert answer.body["errors"][0]["pointer"] == "/permission"
