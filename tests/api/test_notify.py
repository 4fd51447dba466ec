"""What systemd hears of a started service: when it is ready, that it lives, that it ends."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from pathlib import Path

import pytest

from tests.api.served import Deployment


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 once it serves, WATCHDOG=1 twice an interval at least, STOPPING=1 at the end."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1\nthreads = 2")
    deployment.create()
    # A short path: a socket's may have no more than 107 bytes.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as short,
        contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ear,
    ):
        ear.bind(f"{short}/notify")
        ear.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{short}/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        with deployment.served():
            time.sleep(2.2)
        heard = []
        while not heard or heard[-1] != "STOPPING=1":
            heard.append(ear.recv(4096).decode())
    assert "READY=1" in heard
    assert heard.count("WATCHDOG=1") >= 4
