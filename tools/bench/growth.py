"""Draws how the figures of `logs` grow with the log, and writes the same as a table.

python -m gatebook.tools.bench.growth docs SMALL.json MIDDLE.json LARGE.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

DRAWN: Final = {
    "generate events/s": "made up, events/s",
    "append events/s, 16 threads": "append, 16 threads, events/s",
    "read and fold events/s": "read and fold, events/s",
    "rebuild all s": "rebuild all, s",
    "rebuild all MiB": "memory of a rebuild, MiB",
    "verify events/s": "verify the tree, events/s",
    "as of ms": "an account as of, ms",
    "explain ms": "explain, ms",
    "diff of the last tenth ms": "diff of the last tenth, ms",
    "validate ms": "validate, one client, ms",
    "start to ready s": "start to ready, s",
    "largest process MiB": "memory of a worker, MiB",
    "bytes": "bytes on disk an event",
}
"""What is drawn, and what it is called."""

COLUMNS: Final = 3
DECADES: Final = 3
"""How many powers of ten each picture is high, at least: what is flat is seen to be flat."""

Runs = Sequence[dict[str, Any]]


def figure(run: dict[str, Any], name: str) -> float | None:
    """A figure of a run; None when it was not measured there."""
    if name == "bytes":
        sizes: dict[str, float] = run["bytes an event"]
        return sum(size for part, size in sizes.items() if part != "before")
    found: float | None = run.get(name)
    return found


def draw(runs: Runs, path: Path) -> None:
    """Small pictures, all over the same sizes, both axes logarithmic. The same bytes each time."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 8})
    rows = -(-len(DRAWN) // COLUMNS)
    drawing, places = pyplot.subplots(rows, COLUMNS, figsize=(9, 2.2 * rows), sharex=True)
    for place, (name, title) in zip(places.flat, DRAWN.items(), strict=False):
        points = [(run["events"], y) for run in runs if (y := figure(run, name)) is not None]
        _one(place, title, points)
    left_over = places.flat[len(DRAWN) :]
    for place in left_over:
        place.remove()
    for place in places.flat[len(DRAWN) - COLUMNS : len(DRAWN)]:
        place.tick_params(labelbottom=True)
        place.set_xlabel("events in the log")
    drawing.tight_layout()
    drawing.savefig(path, format="svg", metadata={"Date": None, "Title": "Figures by log size"})
    pyplot.close(drawing)


def _one(place: Axes, title: str, points: list[tuple[int, float]]) -> None:
    place.set_title(title)
    place.set_xscale("log")
    place.set_yscale("log")
    place.minorticks_off()
    place.margins(x=0.2)
    if not points:
        return
    values = [value for _, value in points]
    middle = (min(values) * max(values)) ** 0.5
    span = max(10 ** (DECADES / 2), 2 * (max(values) / min(values)) ** 0.5)
    place.set_ylim(middle / span, middle * span)
    place.plot([size for size, _ in points], values, marker="o", color="#204a87")
    for at in points:
        place.annotate(short(at[1]), at, (0, 5), textcoords="offset points", ha="center")
    place.grid(visible=True, linewidth=0.3)


def short(value: float) -> str:
    """Three figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(runs: Runs) -> str:
    """The same in Markdown, for whoever does not see the pictures."""
    sizes = [f"{run['events']:,} events" for run in runs]
    lines = [f"| | {' | '.join(sizes)} |", "| --- |" + " ---: |" * len(sizes)]
    for name, title in DRAWN.items():
        values = [figure(run, name) for run in runs]
        cells = ["-" if value is None else short(value) for value in values]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    machine = runs[-1]["machine"]
    lines += [
        "",
        f"{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}, "
        f"SQLite {machine['sqlite']}. Each measured once, by:",
        "",
        *(f"    {run['command']}" for run in runs),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes growth.svg and growth.md into the directory that is named first."""
    directory, *names = map(Path, sys.argv[1:])
    runs = sorted((json.loads(name.read_text()) for name in names), key=lambda one: one["events"])
    directory.mkdir(exist_ok=True)
    draw(runs, directory / "growth.svg")
    (directory / "growth.md").write_text(f"# Figures by the size of the log\n\n{table(runs)}")


if __name__ == "__main__":
    main()
