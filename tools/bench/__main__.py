"""`python -m gatebook.tools.bench`: measures Gatebook, and other servers beside it.

Exit code 1 when any answer was wrong, 3 when a server that was asked for cannot be started.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from gatebook.tools.bench import load, report
from gatebook.tools.bench.deployment import Wanted, subject
from gatebook.tools.bench.hashes import bare
from gatebook.tools.bench.rounds import BESIDE_LOGINS, Load, measure
from gatebook.tools.bench.subject import PATHS, Missing, Served, Subject

ALL_PATHS = (*PATHS, BESIDE_LOGINS)


@click.command()
@click.option("--engine", "engines", multiple=True, type=click.Choice(["waitress", "granian"]))
@click.option("--store", "stores", multiple=True, type=click.Choice(["sqlite", "postgresql"]))
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1)
@click.option("--runs", type=click.IntRange(1, 100), default=3, help="Rounds; medians are shown.")
@click.option("--seconds", type=click.IntRange(1, 600), default=5, help="Of each load.")
@click.option("--events", type=click.IntRange(0), default=0, help="In the log beforehand.")
@click.option("--path", "--paths", "paths", multiple=True, type=click.Choice(ALL_PATHS))
@click.option("--peers", is_flag=True, help="With every peer that can be had.")
@click.option("--peer", "named", multiple=True, help="With the peers whose names hold this.")
@click.option("--python", is_flag=True, help="Without wrk.")
@click.option("--json", "document", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leaves the servers' files here, logs included.",
)
def main(
    engines: Sequence[str],
    stores: Sequence[str],
    workers: int,
    runs: int,
    seconds: int,
    events: int,
    paths: Sequence[str],
    peers: bool,
    named: Sequence[str],
    python: bool,
    document: Path | None,
    keep: Path | None,
) -> None:
    """Drives each path of each server, and prints one table of rates, latencies and costs.

    Each of --engine, --store, --path and --peer may be given more than once.
    """
    ours = [
        subject(Wanted(engine, store, workers, events))
        for engine in engines or ("granian", "waitress")
        for store in stores or ("sqlite",)
    ]
    console, told = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
    subjects = [*ours, *_peers(peers, named)]
    with ExitStack() as stack:
        if keep is None:
            temporary = tempfile.TemporaryDirectory(prefix="gatebook-bench-")
            keep = Path(stack.enter_context(temporary))
        load_ = Load(runs, seconds, python)
        found = _measured(subjects, paths or ALL_PATHS, load_, keep.resolve(), told)
    report.show(found, console)
    if document is not None:
        report.write(found, document)
    if found.wrong:
        sys.exit(1)
    if found.missing:
        sys.exit(3)


def _measured(
    subjects: Sequence[Subject],
    paths: Sequence[str],
    wanted: Load,
    home: Path,
    told: Console,
) -> report.Report:
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        running: list[tuple[str, Served]] = []
        for number, one in enumerate(subjects):
            told.print(f"starting {one.name}", highlight=False)
            directory = home / str(number)
            directory.mkdir(parents=True)
            try:
                running.append((one.name, stack.enter_context(one.start(directory))))
            except Missing as error:
                missing[one.name] = str(error)
        figures = measure(
            running,
            paths,
            wanted,
            tell=lambda line: told.print(line, highlight=False),
        )
    generator = "http.client, in Python" if wanted.python or not load.has_wrk() else "wrk"
    return report.Report(
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}",
        generator=f"{generator}; account lives are always sent from Python",
        runs=wanted.runs,
        seconds=wanted.seconds,
        figures=figures,
        hashes=bare(),
        notes={one.name: one.notes for one in subjects if one.name not in missing},
        missing=missing,
    )


def _peers(every: bool, named: Sequence[str]) -> list[Subject]:
    if not every and not named:
        return []
    # They need programs of their own, so they are only looked at when they are asked for.
    known: Sequence[Subject] = importlib.import_module("gatebook.tools.bench.peers").PEERS
    chosen = [one for one in known if every or any(part in one.name for part in named)]
    if not chosen:
        names = ", ".join(one.name for one in known)
        raise click.UsageError(f"no peer is called so; there are {names}")
    return chosen


if __name__ == "__main__":
    main()
