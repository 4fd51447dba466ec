"""`audit simulate`: the policy file, what is printed, and the codes that scripts go by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatebook.tools.main import run
from tests.replay.conftest import Lived

EVERYTHING = """
[lockout]
threshold = 1
duration = "2h"
reset = "2h"
[roles.viewer]
permissions = ["accounts.read"]
[roles.operator]
deleted = true
[[mappings]]
provider = "the last"
group = "doctors"
role = "auditor"
[passwords]
max_age = "1s"
[mfa]
required_for = ["admin", "viewer"]
"""


def simulate(lived: Lived, file: Path, text: str, *words: str) -> int:
    """Runs the command on a policy beside the open house."""
    file.write_text(text)
    config = str(lived.deployment.config)
    return run(["--config", config, *words, "audit", "simulate", "--policy", str(file)])


def test_every_rule_is_counted_and_listed(lived: Lived, tmp_path: Path, capfd: Any) -> None:
    """A file with all there is: JSON with counts by rule and by whom; names where there are any."""
    head = lived.house.store.head()
    code = simulate(lived, tmp_path / "policy.toml", EVERYTHING, "--json")
    found = json.loads(capfd.readouterr().out)

    assert code == 0
    assert (found["first"], found["same"]) == (1, False)
    assert found["last"] >= head
    assert {one["rule"] for one in found["counts"]} >= {"lockout", "passwords", "mfa"}
    assert {one["who"] for one in found["counts"]} >= {"owner", "stranger", "account"}
    assert len(found["findings"]) == 50
    listed = len(found["findings"]) + found["left_out"]
    assert listed == sum(one["count"] for one in found["counts"])
    assert any(one["account"] != one["account_id"] for one in found["findings"])
    assert all(one["text"] for one in found["counts"])
    newest = [lived.house.store.event(at) for at in range(head, lived.house.store.head() + 1)]
    assert "audit simulate" in {getattr(one.event, "command", "") for one in newest if one}


def test_people_get_tables(lived: Lived, tmp_path: Path, capfd: Any) -> None:
    """Counts first, then the findings, then who would hold what; and what nobody can know."""
    assert simulate(lived, tmp_path / "policy.toml", EVERYTHING) == 0
    out = capfd.readouterr().out
    assert "right passwords and codes that would have met a lock" in out
    assert "more: say --limit" in out
    assert "by the hour" in out


def test_nothing_is_said_plainly(lived: Lived, tmp_path: Path, capfd: Any) -> None:
    """Rules that change nothing say so."""
    text = '[passwords]\nmax_age = "9999d"\n'
    assert simulate(lived, tmp_path / "policy.toml", text) == 0
    assert "Nothing would have been decided otherwise." in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "proposes nothing"),
        ("[lockout]\nthreshhold = 3", "unknown key"),
        ("[lockout]\nthreshold = 0", "at least 1"),
        ('[lockout]\nduration = "soon"', "[lockout.duration]"),
        ("[roles.viewer]", "permissions = [...], or deleted = true"),
        ('[roles.viewer]\npermissions = ["fly"]', "no permission 'fly'"),
        ("[roles.nobody-has-it]\ndeleted = true", "no role 'nobody-has-it'"),
        ('[mfa]\nrequired_for = ["admn"]', "no role 'admn'"),
        ('[[mappings]]\nprovider = "x"\ngroup = "g"\nrole = "viewer"', "provider 'x'"),
        ("[locks]\n", "unknown key"),
        ("not toml", "policy.toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    lived: Lived, tmp_path: Path, capfd: Any, text: str, said: str
) -> None:
    """Code 2 and one line that says what is wrong; a misprint is never taken for nothing."""
    assert simulate(lived, tmp_path / "policy.toml", text, "--quiet") == 2
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_span_that_holds_nothing_is_refused(lived: Lived, tmp_path: Path, capfd: Any) -> None:
    """Since must be before until, and a file must be there."""
    file, config = tmp_path / "policy.toml", str(lived.deployment.config)
    file.write_text("[lockout]\nthreshold = 3\n")
    words = ["--config", config, "audit", "simulate", "--policy", str(file)]
    assert run([*words, "--since", "20", "--until", "10"]) == 2
    assert run([*words, "--since", "10", "--until", "20"]) == 0
    assert run(["--config", config, "audit", "simulate", "--policy", str(tmp_path / "no")]) == 2
    assert run([*words[:2], "--server", "https://gatebook.example", *words[2:]]) == 2
    assert "nothing was recorded between these two" in capfd.readouterr().err
