"""npm oidc-provider, started and ended by a test, and what a person does on its pages."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.pages.chrome import Window

CLIENT_ID = "gatebook"
CLIENT_SECRET = "a secret between the two of them"
GROUPS = {"alice": ["staff"], "carol": ["staff", "chiefs"]}


class NodeProvider(msgspec.Struct):
    """Where it is to run, whom it knows, and who its client is."""

    directory: Path
    port: int
    gatebook: str
    log: Path

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """One process, with a key of its own and no memory of the one before."""
        told = {
            "port": self.port,
            "gatebook": self.gatebook,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "groups": GROUPS,
        }
        with (
            self.log.open("ab") as errors,
            subprocess.Popen(
                ["node", "provider.mjs"],
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            ) as process,
        ):
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(told).encode())
                process.stdin.close()
                readable, _, _ = select.select([process.stdout], [], [], 30)
                line = process.stdout.readline() if readable else b""
                assert line.strip() == b"ready", self.log.read_text()[-2000:]
                yield
            finally:
                process.kill()


def agree(window: Window, name: str) -> None:
    """Signs in on the provider's own pages, and consents."""
    window.until(lambda: window.heading() == "Sign-in")
    window.focus("login")
    window.type(name + "\ue004" + "any password" + "\ue007")
    window.until(lambda: window.heading() != "Sign-in")
    if window.heading() == "Authorize":
        window.press("Continue")
