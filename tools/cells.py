"""Values as people read them: cells of a table, times, text that others wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.text import Text


def dig(item: dict[str, Any], path: str) -> Any:
    """What stands at a path of names joined by dots; None where there is nothing."""
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def cell(value: Any) -> Text:
    """A value as a cell: never markup, never a control character."""
    return Text(plain(_shown(value)))


def rfc3339(at: int) -> str:
    """An instant in microseconds since the epoch, to the second."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(text: str) -> str:
    """What somebody else wrote must not steer the terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(f"{name}={_shown(held)}" for name, held in value.items())
    return str(value)
