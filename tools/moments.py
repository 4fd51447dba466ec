"""A moment as people write it: a time, a day, or a position of the log."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d(?:\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_POSITION: Final = re.compile(r"#?([1-9]\d{0,18})", re.ASCII)


class Moment(click.ParamType["tuple[str, str | int]"]):
    """Converts to `("at", RFC 3339)` or `("position", number)`. What has no offset is UTC."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | int]:
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        if found := _POSITION.fullmatch(text):
            return "position", int(found[1])
        if _DAY.fullmatch(text):
            return "at", f"{text}T00:00:00Z"
        if found := _TIME.fullmatch(text):
            day, minute, second, offset = found.groups()
            return "at", f"{day}T{minute}{second or ':00'}{(offset or 'Z').upper()}"
        raise click.BadParameter(
            f"{text!r} is no moment: give a time (2026-11-17T08:00:00Z), a day (2026-11-17, from "
            "its first second, UTC) or a position of the log (4711).",
            ctx,
            param,
        )


MOMENT: Final = Moment()


def asked(moment: tuple[str, str | int] | None) -> dict[str, Any]:
    """A moment as parameters of a question."""
    return {} if moment is None else dict([moment])
