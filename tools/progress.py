"""Progress of long work: bars on a terminal with rate and time left, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gatebook.tools.desk import Desk

Tell = Callable[[int, int], None]
"""Told (done, total)."""


@contextmanager
def bars(desk: Desk, unit: str = "events") -> Iterator[Callable[[str], Tell]]:
    """Makes bars by name, one below the other."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=desk.errors,
        disable=not sys.stderr.isatty() or desk.quiet,
    ) as shown:

        def named(name: str) -> Tell:
            task = shown.add_task(name, total=1, rate="")

            def tell(done: int, total: int) -> None:
                speed = shown.tasks[task].speed
                rate = f"{speed:,.0f} {unit}/s" if speed else ""
                shown.update(task, completed=done, total=max(total, 1), rate=rate)

            return tell

        yield named


@contextmanager
def bar(desk: Desk, name: str, unit: str = "events") -> Iterator[Tell]:
    """One bar."""
    with bars(desk, unit) as named:
        yield named(name)
