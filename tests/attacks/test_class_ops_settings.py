"""Operations: settings that no service can be run with are refused before one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatebook.store.file_lock import FileLock
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.tools import serving
from gatebook.tools.desk import Failed
from tests.api.served import Deployment
from tests.attacks.tools import program

FILE = '[master_key]\nkey_file = "master.key"\n'


def load(tmp_path: Path, environment: dict[str, str], more: str = "") -> Settings:
    """The settings of a small file and an environment."""
    config = tmp_path / "gatebook.toml"
    config.write_text(FILE + more)
    return Settings.load(config, {f"GATEBOOK__{name}": text for name, text in environment.items()})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER__WORKERS", "100000"),
        ("SERVER__THREADS", "99999999999999999999999"),
        ("SERVER__PUBLIC_URL", "http://a\r\nX: y"),
        ("SERVER__PUBLIC_URL", "javascript:alert(1)"),
        ("SERVER__PUBLIC_URL", "auth.example.org"),
        ("SERVER__PUBLIC_URL", "https://auth.example.org@evil.example"),
        ("SERVER__PUBLIC_URL", "https://auth.example.org?x"),
        ("SERVER__PUBLIC_URL", "https://auth.example.org/gate/"),
        ("SERVER__PUBLIC_URL", "https://[::1"),
        ("TOKENS__ACCESS_LIFETIME", "9" * 30 + "d"),
        ("TOKENS__ACCESS_LIFETIME", "9" * 5000 + "d"),
        ("PASSWORDS__ARGON2_MEMORY", "9999999GiB"),
        ("PASSWORDS__ARGON2_TIME", "99999999999"),
        ("SERVER__MAX_BODY", "99999999999GiB"),
        ("SERVER__TRUSTED_PROXIES", str([f"10.0.{n // 250}.{n % 250}" for n in range(6000)])),
    ],
)
def test_refused(tmp_path: Path, name: str, value: str) -> None:
    """One line says which."""
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, {name: value})
    said = str(refused.value)
    assert "\n" not in said
    assert name.partition("__")[2].lower() in said or "too large" in said


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8440", "https://auth.example.org/", "https://[::1]:8443"]
)
def test_public_urls(tmp_path: Path, url: str) -> None:
    """Addresses and ports are as good as a name; no page could be asked for below a path."""
    assert load(tmp_path, {"SERVER__PUBLIC_URL": url}).server.public_url == url


def test_reload_signals_nobody_else(own: Deployment) -> None:
    """Whatever stands where the server's process should, not every process of the user is told."""
    slots = own.directory / "slots"
    slots.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(str(slots / "supervisor.lock"))
    assert lock.acquire(0)
    try:
        for said in ("-1", "0", "", "x"):
            (slots / "supervisor.pid").write_text(said)
            with pytest.raises(Failed) as failed:  # not run: were it wrong, it would hit us all
                serving._supervisor(slots)
            assert failed.value.code == 3
        (slots / "supervisor.pid").write_text("4194305")  # more than there may be
        told = program(own, "reload")
    finally:
        lock.close()
    assert told.returncode == 3
    assert len(told.stderr.splitlines()) == 1


def test_a_version_that_no_schema_will_have(own: Deployment) -> None:
    """A slip of the finger is a usage error, not a number in the log."""
    told = program(own, "--yes", "store", "force-version", "9" * 30)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
