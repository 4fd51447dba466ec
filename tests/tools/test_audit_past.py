"""`audit as-of`, `audit diff` and `audit explain` at the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment with a first admin; no server runs."""
    made = Deployment(tmp_path_factory.mktemp("past"), "sqlite:///gatebook.db")
    made.create()
    return made


@pytest.fixture
def cli(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def head(cli: Run) -> str:
    """The newest position, as a word of a command."""
    return str(json.loads(cli("--json", "audit", "tail", "-n", "1")[1])["position"])


def shown(cli: Run, *words: str) -> Any:
    code, output, errors = cli("--json", *words)
    assert code == 0, errors
    return json.loads(output)


def test_the_past_told_to_people_and_to_programs(cli: Run) -> None:
    """A role that was granted and revoked is in the past, in the difference, in the explanation."""
    bob = shown(cli, "account", "create", "--username", "bob", "--type", "system")["id"]
    assert cli("role", "grant", "bob", "auditor")[0] == 0
    before = head(cli)
    assert cli("role", "revoke", "bob", "auditor")[0] == 0

    assert shown(cli, "audit", "as-of", before, "bob")["roles"] == ["auditor"]
    everybody = shown(cli, "audit", "as-of", before, "--role", "auditor")
    assert [one["username"] for one in everybody] == ["bob"]
    roles = shown(cli, "audit", "as-of", before, "--roles")
    assert {"admin", "auditor", "operator", "viewer"} == {one["name"] for one in roles}
    (change,) = shown(cli, "audit", "diff", before)
    assert (change["account_id"], change["roles"]["lost"]) == (bob, ["auditor"])
    explained = shown(cli, "audit", "explain", "bob", "audit.read", "--at", before)
    assert explained["holds"] is True

    code, output, _errors = cli("audit", "explain", "bob", "audit.read")
    assert code == 0
    assert "It is not held" in output
    assert "auditor: The role was granted and revoked again." in output
    assert "The role auditor was revoked." in output
    code, output, _errors = cli("audit", "diff", before)
    assert (code, "role auditor" in output) == (0, True)
    code, output, _errors = cli("audit", "as-of", before, "bob")
    assert (code, "auditor" in output) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("audit", "as-of", "yesterday"), 2, "is no moment"),
        (("audit", "as-of", "1", "nobody-at-all"), 1, "there is no account"),
        (("audit", "as-of", "99999999"), 1, "no such position"),
        (("audit", "as-of", "2999-01-01"), 1, "still to come"),
        (("audit", "as-of", "1", "--session", "x", "--jti", "y"), 2, "one thing at a time"),
        (("audit", "as-of", "1", "--jti", "x"), 2, "say the token's id"),
        (("audit", "explain", "first-admin"), 2, "say an ACCOUNT and a PERMISSION"),
        (("audit", "explain", "first-admin", "no.such"), 1, "no permission"),
        (("audit", "diff", "5", "2"), 1, "before the beginning"),
    ],
)
def test_questions_that_cannot_be_answered(
    cli: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    """Each says what is wrong with it in one line."""
    found, output, errors = cli(*words)
    assert (found, said in errors) == (code, True), errors
    assert output == ""


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("4711", {"position": 4711}),
        ("#4711", {"position": 4711}),
        ("2026-11-17", {"at": "2026-11-17T00:00:00Z"}),
        ("2026-11-17 08:15", {"at": "2026-11-17T08:15:00Z"}),
        ("2026-11-17t08:15:30.5z", {"at": "2026-11-17T08:15:30.5Z"}),
        ("2026-11-17T08:15:30+02:00", {"at": "2026-11-17T08:15:30+02:00"}),
    ],
)
def test_moments_as_people_write_them(word: str, means: dict[str, object]) -> None:
    """A position, a day, a time with or without its offset."""
    from gatebook.tools.moments import MOMENT, asked

    assert asked(MOMENT.convert(word, None, None)) == means
