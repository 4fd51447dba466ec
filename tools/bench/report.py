"""One table for people, one JSON document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from gatebook.tools.bench.hashes import BareHash
from gatebook.tools.bench.rounds import Figures

PEERLESS = "gatebook"
"""How the names of our own subjects begin."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `notes` say of each subject how it is set up."""

    machine: str
    generator: str
    runs: int
    seconds: int
    figures: list[Figures]
    hashes: list[BareHash]
    notes: dict[str, str]
    missing: dict[str, str]

    @property
    def wrong(self) -> int:
        """Wrong answers of the whole run."""
        return sum(one.wrong for one in self.figures)


def write(report: Report, path: Path) -> None:
    """The JSON document."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def show(report: Report, console: Console) -> None:
    """The table, and beneath it how it was come by."""
    table = Table(title=f"medians of {report.runs} x {report.seconds} s, {report.machine}")
    table.add_column("path")
    table.add_column("subject")
    for name in ("a second", "p50 ms", "p99 ms", "CPU ms", "MiB", "largest", "wrong", "x peer"):
        table.add_column(name, justify="right")
    last = ""
    for one in report.figures:
        if last and one.path != last:
            table.add_section()
        table.add_row(one.path if one.path != last else "", one.subject, *_cells(one, report))
        last = one.path
    console.print(table)
    for line in _footer(report):
        console.print(line, highlight=False, markup=False)


def _cells(one: Figures, report: Report) -> list[str]:
    return [
        f"{one.rate:,.0f}" if one.rate >= 100 else f"{one.rate:.1f}",
        f"{one.p50:.2f}",
        f"{one.p99:.2f}",
        _cpu(one.cpu),
        f"{one.memory:.0f}",
        f"{one.largest:.0f}",
        str(one.wrong),
        _ratio(one, report.figures),
    ]


def _cpu(milliseconds: float) -> str:
    if not milliseconds:
        return ""
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:.0f}"


def _ratio(one: Figures, figures: Iterable[Figures]) -> str:
    """How many times the rate of the best peer on the same path."""
    if not one.subject.startswith(PEERLESS):
        return ""
    best = best_peer(one.path, figures)
    return f"{one.rate / best.rate:.1f}" if best is not None and best.rate else ""


def best_peer(path: str, figures: Iterable[Figures]) -> Figures | None:
    """The fastest subject on a path that is not ours."""
    peers = [f for f in figures if f.path == path and not f.subject.startswith(PEERLESS)]
    return max(peers, key=lambda one: one.rate, default=None)


def ratios(figures: Sequence[Figures]) -> list[str]:
    """Each of ours against each peer on each path, a line each."""
    ours = [one for one in figures if one.subject.startswith(PEERLESS)]
    peers = [one for one in figures if not one.subject.startswith(PEERLESS)]
    return [
        f"{one.path}: {one.subject} is {one.rate / peer.rate:.1f} x {peer.subject}"
        for one in ours
        for peer in peers
        if one.path == peer.path and peer.rate
    ]


def _footer(report: Report) -> list[str]:
    lines = [f"load: {report.generator}"]
    lines += [
        f"bare Argon2id {one.name}: {one.wall:.0f} ms, {one.cpu:.0f} ms of CPU, in this process"
        for one in report.hashes
    ]
    lines += [f"{name}: {note}" for name, note in report.notes.items() if note]
    lines += [f"{name} was left out: {why}" for name, why in report.missing.items()]
    lines += ratios(report.figures)
    for one in report.figures:
        if one.wrong:
            lines.append(f"WRONG, {one.wrong} of {one.requests}: {one.subject}, {one.path}:")
            lines.append(f"  {one.sample}")
    return lines
