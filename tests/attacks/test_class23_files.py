"""Class 23, effects through files: whose they are, and what a path may name.

Vault CVE-2025-6000; Casdoor CVE-2026-6815.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatebook.store.master_key import read_private_file, write_key_file
from gatebook.store.settings import ConfigurationError
from tests.api.served import ADMIN, ADMIN_PASSWORD, Served
from tests.attacks.tools import program

SOMEBODY = 54_321
"""A user id that is nobody's here."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_key_file_of_another_user(tmp_path: Path) -> None:
    """A file that another user can read and replace is no secret, whatever its mode."""
    path = tmp_path / "master.key"
    write_key_file(path)
    assert read_private_file(path, "key file")
    os.chown(path, SOMEBODY, -1)

    with pytest.raises(ConfigurationError):
        read_private_file(path, "key file")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_modes(tmp_path: Path, mode: int) -> None:
    """Nor is one that a group or everybody can read or write."""
    path = tmp_path / "master.key"
    write_key_file(path)
    path.chmod(mode)

    with pytest.raises(ConfigurationError):
        read_private_file(path, "key file")


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """A key is not written where a link that somebody planted points."""
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "master.key").symlink_to(elsewhere)

    with pytest.raises(FileExistsError):
        write_key_file(tmp_path / "master.key")
    assert not elsewhere.exists()


def test_a_planted_session_file(served: Served, tmp_path: Path) -> None:
    """Signing in at the command line does not write a token through a planted link."""
    state = tmp_path / "state"
    (state / "gatebook").mkdir(parents=True)
    target = tmp_path / "target"
    target.write_text("before")
    (state / "gatebook" / "session.json").symlink_to(target)
    url = f"http://{served.client.host}:{served.client.port}"
    words = ("--server", url, "login", "--username", ADMIN, "--password-stdin")
    environment = {"XDG_STATE_HOME": str(state)}
    told = program(None, *words, given=f"{ADMIN_PASSWORD}\n", environment=environment)
    assert told.returncode == 0, told.stderr
    assert target.read_text() == "before"
    kept = state / "gatebook" / "session.json"
    assert not kept.is_symlink()
    assert kept.stat().st_mode & 0o077 == 0
