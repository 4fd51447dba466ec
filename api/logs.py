"""Logging: one JSON object a line on standard error. No body, token or query string is logged."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

_access = logging.getLogger("gatebook.access")
_encoder = msgspec.json.Encoder()


class Answered(msgspec.Struct, frozen=True):
    """The line of a request. Not through `logging`, which takes five times as long for it."""

    at: datetime
    process: int
    request_id: str
    route: str
    method: str
    status: int
    duration_ms: float
    client: str
    level: str = "info"
    logger: str = _access.name
    message: str = "request"


def answered(
    at: datetime,
    request_id: str,
    route: str,
    method: str,
    status: int,
    seconds: float,
    client: str,
) -> None:
    """Tells of a request, in one write. A line that cannot be written is lost, nothing else."""
    if not _access.isEnabledFor(logging.INFO):
        return
    milliseconds = round(seconds * 1000, 3)
    line = Answered(at, os.getpid(), request_id, route, method, status, milliseconds, client)
    # Nobody reads it any more, or it is closed, or was from the start.
    with suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), _encoder.encode(line) + b"\n")


class JsonLines(logging.Formatter):
    """Renders a record with the fields that its `extra` holds under "fields"."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return msgspec.json.encode(line).decode()


def configure() -> None:
    """Sets up this process's log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.CRITICAL)
    logging.getLogger("eventsourcing").setLevel(logging.WARNING)
    logging.getLogger("_granian").setLevel(logging.WARNING)
