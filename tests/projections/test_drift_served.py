"""A served read model that somebody changed: noticed, told, recorded, and mended by a rebuild."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment, Served


def until(true: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)


def problems(served: Served) -> list[str]:
    return list(served.client.get("/v1/ready").body["problems"])


def test_a_changed_row_is_noticed_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who makes himself an admin in the database turns readiness red within seconds."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    deployment.create()
    with deployment.served() as served:
        account = served.account()
        until(
            lambda: b'gatebook_projection_drifted_rows{projection="access"} 0.0' in metrics(served)
        )
        assert problems(served) == []

        with sqlite3.connect(tmp_path / "gatebook.db", timeout=10) as thief:
            row = (bytes.fromhex(account["id"].replace("-", "")),)
            thief.execute("INSERT INTO access_grants VALUES (?, 'admin', 1, NULL)", row)
        thief.close()

        until(lambda: problems(served) != [])
        (told,) = problems(served)
        assert told.startswith(
            "The read model access is not what the log says: rows that differ: 1,"
        )
        assert served.client.get("/v1/ready").status == 503
        assert b'gatebook_projection_drifted_rows{projection="access"} 1.0' in metrics(served)
        until(lambda: len(served.events("&type=projection.drifted")) == 1)
        assert '"read model drifted"' in deployment.log()

        config = str(deployment.config)
        assert gatebook(["--config", config, "projection", "rebuild", "access"]) == 0
        capsys.readouterr()
        until(lambda: problems(served) == [])
        assert len(served.events("&type=projection.drifted")) == 1, "said once"


def metrics(served: Served) -> bytes:
    return bytes(served.admin.get("/metrics").raw)
