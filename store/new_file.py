"""Files that are there whole or not at all, and never take the place of another."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatebook.store.faults import StoreRefused
from gatebook.store.sqlite_connection import create_private_file

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def new_file(path: str, named: Callable[[], str] | None = None) -> Iterator[str]:
    """Yields the path of an empty private file, which is at `path`, synced, after the block.

    `named` is asked for another path then, once it is known what is in the file.
    A crash inside the block leaves `<path>.<8 digits>.part`, which nobody reads and which may be
    removed. Raises `StoreRefused` when there is something at `path`, and `OSError`.
    """
    check_free(path)
    part = f"{path}.{secrets.token_hex(4)}.part"
    create_private_file(part)
    try:
        yield part
        _sync(part)
        _publish(part, path if named is None else named())
    finally:
        for name in (part, f"{part}-journal", f"{part}-wal", f"{part}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    _sync(os.path.dirname(os.path.abspath(path)))


def check_free(path: str) -> None:
    """Raises `StoreRefused` when there is something at `path`."""
    if os.path.lexists(path):
        raise StoreRefused(f"{path} is there already and is not overwritten: name another file")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise StoreRefused(f"there is no directory for {path}: make it first")


def _publish(part: str, path: str) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        check_free(path)
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        check_free(path)  # a file system without links has no better way
        os.rename(part, path)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
