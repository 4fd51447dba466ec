"""What `doctor` says of all that a start needs beside the store: files, listeners, engine, TLS."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gatebook.api.engines import check_engine
from gatebook.api.server import bound
from gatebook.store import tls
from gatebook.store.file_lock import FileLock
from gatebook.store.setting_checks import is_loopback
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.store.system import SystemClock

Outcome = tuple[str, str, str, str]
"""Check, state, what was found, and the mend."""

ENDING_DAYS: Final = 14


def checked(config: Path, settings: Settings) -> Iterator[Outcome]:
    """Looks at files and their modes, and tries what `serve` does before it serves."""
    yield from _files(config, settings)
    yield from _engine(settings)
    yield from _certificate(settings)
    yield from _listeners(settings)
    yield from _public_url(settings)


def _files(config: Path, settings: Settings) -> Iterator[Outcome]:
    # Others may read the configuration unless a password stands in it; nobody may write it.
    yield _file(config, 0o077 if "@" in settings.store.url else 0o022)
    source = settings.master_key
    named = (source.key_file, source.passphrase_file, settings.server.tls_key)
    for name in filter(None, named):
        yield _file(settings.path(name), 0o077)
    if settings.store_url.startswith("sqlite:///"):
        database = Path(settings.store_url.removeprefix("sqlite:///"))
        for path in (database, database.with_suffix(".keys.db")):
            yield _file(path, 0o077, needed=0o600)


def _file(path: Path, forbidden: int, needed: int = 0o400) -> Outcome:
    try:
        found = path.stat()
    except OSError as error:
        return str(path), "wrong", str(error.strerror), "Restore it from its backup."
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden or mode & needed != needed:
        return str(path), "wrong", f"mode {mode:04o}", f"chmod 600 {path}"
    if found.st_uid != os.geteuid():
        told = f"belongs to user {found.st_uid}, this is user {os.geteuid()}"
        return str(path), "wrong", told, f"chown {os.geteuid()} {path}, or run as its owner"
    return str(path), "good", f"mode {mode:04o}", ""


def _engine(settings: Settings) -> Iterator[Outcome]:
    try:
        check_engine(settings)
    except ConfigurationError as error:
        yield "engine", "cannot start", str(error), "Install it, or take engine = waitress."


def _certificate(settings: Settings) -> Iterator[Outcome]:
    """The pair, if the listener has one; the server looks at it when it starts or reloads."""
    try:
        found = tls.load(settings)
    except ConfigurationError as error:
        mend = "Put a pair there that fits; to try it: gatebook tls self-signed"
        yield "certificate", "cannot start", str(error), mend
        return
    if found is not None:
        days = found.days_left(SystemClock().now())
        state, mend = ("good", "") if days >= ENDING_DAYS else ("wrong", "Replace both files.")
        yield "certificate", state, f"{days:.0f} days left", mend


def _listeners(settings: Settings) -> Iterator[Outcome]:
    if _is_served(settings):
        yield "listeners", "good", "a server with this configuration runs", ""
        return
    server = settings.server
    for key, listen in (("listen", server.listen), ("management_listen", server.management_listen)):
        if not listen:
            continue
        try:
            bound(key, listen).close()
        except ConfigurationError as error:
            mend = f"Stop what is there (ss -ltnp), or set [server] {key} to another address."
            yield key, "cannot start", str(error), mend
        else:
            yield key, "good", f"{listen} is free", ""


def _is_served(settings: Settings) -> bool:
    """Whether a supervisor of this configuration runs on this machine."""
    path = settings.path("slots") / "supervisor.lock"
    if not path.exists():
        return False
    lock = FileLock(str(path))
    try:
        return not lock.acquire(0)
    except OSError:
        return False
    finally:
        lock.close()


def _public_url(settings: Settings) -> Iterator[Outcome]:
    split = urlsplit(settings.server.public_url)
    if split.scheme == "http" and not is_loopback(split.hostname or ""):
        found = f"{settings.server.public_url}: passwords and cookies cross the network in clear"
        yield "public URL", "wrong", found, "TLS, and https in [server] public_url."
