"""Where an export goes: standard output, or a file that a later run goes on with."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import BinaryIO, Final

from gatebook.tools.desk import Failed

BLOCK: Final = 65_536


class Output:
    """Lines of one format. `position` is that of the last event written.

    `is_sealed`: nothing was written since the last checkpoint.
    """

    def __init__(self, file: BinaryIO, position: int, *, is_sealed: bool, is_kept: bool) -> None:
        self._file = file
        self._is_kept = is_kept
        self.position = position
        self.is_sealed = is_sealed

    def write(self, line: str, position: int) -> None:
        """An event. A crash here leaves part of a line, which the next run cuts off."""
        self._file.write(line.encode() + b"\n")
        self.position, self.is_sealed = position, False

    def seal(self, line: str) -> None:
        """The checkpoint of a batch; what was written up to here stays."""
        self._file.write(line.encode() + b"\n")
        self.is_sealed = True
        self.flush()
        if self._is_kept:
            os.fsync(self._file.fileno())

    def flush(self) -> None:
        """Hands on what was written."""
        try:
            self._file.flush()
        except BrokenPipeError:
            # Nobody reads any more; what is left must not be tried again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            raise


@contextmanager
def opened(path: str | None, after: int | None, form: ModuleType) -> Iterator[Output]:
    """The output behind `after`, or behind what the file has. Raises Failed."""
    if path is None:
        yield Output(sys.stdout.buffer, after or 0, is_sealed=True, is_kept=False)
        return
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
            found = _resumed(file, path, form)
            if found is not None and after not in (None, found[0]):
                raise Failed(f"{path} goes on behind event {found[0]}: leave out --after")
            position, is_sealed = found or (after or 0, True)
            output = Output(file, position, is_sealed=is_sealed, is_kept=True)
            yield output
            file.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Failed(f"{path}: {error.strerror}") from error


def _resumed(file: BinaryIO, path: str, form: ModuleType) -> tuple[int, bool] | None:
    """Where a file goes on, and whether it ends in a checkpoint; None for an empty one.

    Whatever stands behind its last whole line is cut off. Raises Failed.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"{path}: another export is writing to it") from None
    end = _line_end(file, file.seek(0, os.SEEK_END))
    begin = _line_end(file, max(0, end - 1))
    file.seek(begin)
    last = file.read(end - begin)
    try:
        found: tuple[int, bool] | None = form.place_of(last.decode()) if last else None
    except ValueError:
        raise Failed(
            f"{path} does not end in a line of this format: export to another file"
        ) from None
    file.truncate(end)
    file.seek(end)
    return found


def _line_end(file: BinaryIO, before: int) -> int:
    """Behind the last end of a line before there; 0 when there is none."""
    while before > 0:
        begin = max(0, before - BLOCK)
        file.seek(begin)
        found = file.read(before - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        before = begin
    return 0
