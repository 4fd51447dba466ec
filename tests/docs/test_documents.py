"""The documents are run: a command in README or RUNBOOK that does not work fails here."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment
from tests.federation import hostile
from tests.federation.conftest import MORE

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:8440"
ISSUERS = (
    "https://keycloak.example.org/realms/main",
    "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
    "https://accounts.google.com",
    "https://example.okta.com",
)
"""Providers that the runbook names: one on loopback answers in their place."""

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> str:
    """All of a document's command blocks, in order, as one script."""
    found = BLOCK.findall((ROOT / document).read_text())
    assert len(found) >= 5
    return "\n".join(found)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A checkout as a reader of the documents has it after `./run`."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize("document", ["README.md", "RUNBOOK.md"])
def test_every_command_of_a_document_works(document, directory):
    """The blocks of a document, run in order beside a running server, all succeed."""
    more = f'{MORE}\n[audit]\nwitness_files = ["witness.heads"]'
    deployment = Deployment(
        directory / "data", "sqlite:///gatebook.db", server="workers = 1", more=more
    )
    deployment.create()
    with deployment.served() as server, hostile.running() as provider:
        script = blocks(document).replace(ADDRESS, f"{server.client.host}:{server.client.port}")
        for issuer in ISSUERS:
            script = script.replace(issuer, provider.issuer)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if document == "README.md":
        assert "204" in done.stdout.split()
        assert "403" in done.stdout.split()
        assert '{"valid":false}' in done.stdout
        assert "login.succeeded" in done.stdout


def test_every_link_between_documents_leads_somewhere():
    """A relative link names a file that is there."""
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_event_command_and_setting_that_is_named_exists():
    """`gatebook` commands in any document are commands of the program."""
    from gatebook.tools.main import gatebook

    for document in ROOT.glob("*.md"):
        for words in re.findall(
            r"gatebook ((?:--yes |--json )?[a-z-]+(?: [a-z-]+)?)", document.read_text()
        ):
            first, *rest = words.removeprefix("--yes ").removeprefix("--json ").split()
            if first not in gatebook.commands:
                continue
            group = getattr(gatebook.commands[first], "commands", None)
            if group is not None and rest:
                assert rest[0] in group, f"{document.name}: gatebook {words}"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`./run` in this checkout, on a data directory and a port of the test's own."""
    environment = os.environ | {
        "GATEBOOK_VENV": str(BIN.parent),
        "GATEBOOK_DATA": str(tmp_path / "data"),
        "GATEBOOK__SERVER__LISTEN": "127.0.0.1:0",
        "GATEBOOK__SERVER__WORKERS": "1",
    }
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [str(ROOT / "run")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 120)
        line = process.stdout.readline() if ready else ""
        assert "serving on http://" in line, (tmp_path / "stderr").read_text()
        yield process, line.rpartition("http://")[2].strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        assert process.stdout is not None
        process.stdout.close()


def test_the_three_lines_that_run_prints_can_be_pasted(running, tmp_path):
    """`./run` sets up, serves, and prints lines that sign in, say who, and show the sign-in."""
    _process, address = running
    said = (tmp_path / "stderr").read_text()
    lines = [line for line in said.splitlines() if line.startswith(("TOKEN=", "curl "))]
    assert len(lines) == 3, said

    script = "\n".join(lines).replace("127.0.0.1:0", address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert '"username":"admin"' in done.stdout
    assert "login.succeeded" in done.stdout
    for name in ("master.key", "gatebook.toml", "gatebook.db", "gatebook.keys.db"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o077 == 0, name


def test_run_a_second_time_changes_nothing(running, tmp_path):
    """The second start finds all there, seats nobody and shows no password."""
    process, _address = running
    process.send_signal(signal.SIGTERM)
    process.wait(40)
    before = (tmp_path / "data" / "master.key").read_bytes()
    environment = os.environ | {"GATEBOOK_CONFIG": str(tmp_path / "data" / "gatebook.toml")}
    began = time.monotonic()
    again = subprocess.run(
        [str(BIN / "gatebook"), "init", "--data-dir", str(tmp_path / "data"), "--first-admin", "x"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout.replace("\n", " ")
    assert "password" not in again.stdout
    assert (tmp_path / "data" / "master.key").read_bytes() == before
    assert time.monotonic() - began < 30
