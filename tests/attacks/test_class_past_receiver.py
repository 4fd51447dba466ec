"""What the receiver of an export is made to believe: cut, forged and malformed copies."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from gatebook.tools import receiver
from tests.api.served import Deployment
from tests.attacks.tools import program

Lines = list[str]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Lines]:
    """The verifier key, and a whole export of a small log."""
    deployment = Deployment(tmp_path_factory.mktemp("exported"), "sqlite:///gatebook.db")
    deployment.create()
    said = program(deployment, "audit", "export")
    assert said.returncode == 0, said.stderr
    key = program(deployment, "audit", "checkpoint", "--key").stdout.strip()
    return key, said.stdout.splitlines(keepends=True)


def received(key: str, lines: Lines) -> tuple[int, str]:
    """What the receiver says of a copy: its exit code and its words."""
    ended = subprocess.run(
        [sys.executable, str(Path(receiver.__file__)), key],
        input="".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def test_a_whole_export_is_proved(exported: tuple[str, Lines]) -> None:
    """So that the refusals below are for what was done to it."""
    key, lines = exported
    events = len(lines) - 1
    assert received(key, lines) == (0, f"{events} events, proved up to {events}\n")


def _lent(lines: Lines) -> Lines:
    """One byte of the second leaf hash stands at the end of the first: together they are hashed."""
    first, second = (json.loads(line) for line in lines[:2])
    left, right = b64decode(first["leaf_hash"]), b64decode(second["leaf_hash"])
    first["leaf_hash"] = b64encode(left + right[:1]).decode()
    second["leaf_hash"] = b64encode(right[1:]).decode()
    return [json.dumps(first) + "\n", json.dumps(second) + "\n", *lines[2:]]


@pytest.mark.parametrize(
    "forged",
    [
        lambda _lines: [],
        lambda lines: lines[:-1],
        lambda lines: lines[: len(lines) // 2],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [lines[0], *lines],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:2], lines[-1], *lines[2:]],
        lambda lines: [*lines, lines[-2]],
        _lent,
        lambda lines: ["[" * 100_000 + "\n", *lines],
        lambda lines: ["{}\n", *lines],
        lambda lines: [json.dumps({"checkpoint": "gatebook\n1\n\n\n"}) + "\n", *lines],
    ],
    ids=(
        "nothing",
        "no head",
        "half",
        "gap",
        "duplicate",
        "swapped",
        "head too early",
        "more behind the head",
        "a byte lent",
        "too deep",
        "no event",
        "a head of nobody",
    ),
)
def test_what_is_not_the_whole_log_is_refused(
    exported: tuple[str, Lines], forged: Callable[[Lines], Lines]
) -> None:
    """Exit code 1, with the reason in one line: a script that looks at nothing else is told."""
    key, lines = exported
    code, said = received(key, forged(lines))
    assert code == 1, said
    assert said.startswith("receiver: ")
    assert said.count("\n") == 1
