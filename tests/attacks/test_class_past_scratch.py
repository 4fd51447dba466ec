"""The self-check's copies of read models: on the disk, and nowhere to be found."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import open_house
from gatebook.store.self_checks import SelfChecks
from gatebook.store.settings import Settings
from tests.api.served import Deployment


def test_a_killed_self_check_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs its copies have no names, so that a kill at any moment leaves none of them."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    deployment.create()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    house = open_house(Settings.load(deployment.config, {}))
    house.prepare()
    found: list[Path] = []
    looked = threading.Event()

    class Turn(threading.Event):
        """Ends after four pauses, each behind a look and none of any length."""

        pauses = 0

        def wait(self, timeout: float | None = None) -> bool:
            found.extend(scratch.iterdir())
            looked.set()
            self.pauses += 1
            if self.pauses == 4:
                self.set()
            return self.is_set()

    troubles: list[Exception] = []
    try:
        SelfChecks(house, PROJECTIONS).run(Turn(), troubles.append, lambda _found: None)
        kept = house.store.query("SELECT name FROM projections_checked")
    finally:
        house.close()
    assert looked.is_set()
    assert troubles == []
    assert found == []
    assert kept, "it looked at nothing"
