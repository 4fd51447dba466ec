"""A real store that went back to an older copy of itself, and on from there, signed by its key."""

from __future__ import annotations

import pytest

from gatebook.api.local import follow_up
from gatebook.domain.application.core import local
from gatebook.store.backup import back_up, restore, restored_row
from gatebook.store.mapper import EventMapper
from gatebook.tools import verify
from tests.api.served import Deployment
from tests.trust.evidence import NEWEST_SIGNED, Original, fill, opened


@pytest.fixture
def fork(original: Original, tmp_path):
    """A store of the original's first hundred events, which has its own 101st."""
    backup = tmp_path / "backup"
    with original.house() as house:
        back_up(house, local("tester"), str(backup), str(tmp_path / "keys"), lambda _a, _b: None)
        record = restored_row(EventMapper(house.keyring), local("tester"), house.clock.now())
    (tmp_path / "fork").mkdir()
    deployment = Deployment(tmp_path / "fork", "sqlite:///gatebook.db")
    key = (original.deployment.directory / "master.key").read_bytes()
    (tmp_path / "fork" / "master.key").write_bytes(key)
    restore(
        str(backup),
        f"sqlite:///{tmp_path}/fork/gatebook.db",
        keyring=str(tmp_path / "keys"),
        upto=100,
        record=record,
        tell=lambda _a, _b: None,
    )
    return deployment


@pytest.mark.parametrize("upto", [150, NEWEST_SIGNED + 20])
def test_a_fork_after_a_rollback(original, fork, upto):
    """It agrees with all that it has itself; one head that was kept elsewhere tells."""
    with opened(fork) as house:
        fill(house, upto)
        follow_up(house)
        url = house.settings.store_url
    assert verify.verify(url, [original.vkey]).ok
    kept = [note for note in original.notes if int(note.split("\n")[1]) <= NEWEST_SIGNED]
    report = verify.verify(url, [original.vkey], [("kept", [*"".join(kept).splitlines(True)])])
    assert not report.ok
    if upto < 256:
        assert "the log ends at" in str(report)
    else:
        assert (report.first_bad, report.last_bad) == (101, 256)
