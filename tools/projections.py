"""`gatebook projection`: the read models, and their rebuilding from the log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec

from gatebook.domain import deployment
from gatebook.domain.application.core import local
from gatebook.projections import engine, tree_scan
from gatebook.projections.differences import Difference
from gatebook.projections.errors import FoldFailed, NotHalted, SwitchedMeanwhile, UnknownProjection
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import dry_run, rebuild
from gatebook.projections.registry import PROJECTIONS, projection_named
from gatebook.projections.tree_scan import TreeRefuted
from gatebook.projections.verify import verify
from gatebook.store.house import House
from gatebook.store.scratch import open_scratch
from gatebook.store.tree_accept import conflict_stands
from gatebook.tools import rebuilding
from gatebook.tools.checkpoints import scanned, tree_standing
from gatebook.tools.desk import Desk, Failed, local_user
from gatebook.tools.progress import bars

TREE = "tree"
"""No projection of rows, but it follows the log as they do."""

TREE_TABLES = ["tree_tiles", "tree_heads", "tree_state", "tree_witnesses"]
SHOWN = ("name", "kind", "status", "version", "generation", "position", "lag", "error")


@click.group()
def projection() -> None:
    """The read models, and their rebuilding from the log."""


@projection.command("list")
@click.pass_obj
def list_(desk: Desk) -> None:
    """List the projections of this program."""
    desk.table(
        [
            {
                "name": one.name,
                "kind": _kind(one.inline),
                "version": one.version,
                "tables": [table.name for table in one.tables],
            }
            for one in PROJECTIONS
        ]
        + [{"name": TREE, "kind": "following", "version": 1, "tables": TREE_TABLES}],
        ("name", "kind", "version", "tables"),
    )


@projection.command()
@click.pass_obj
def status(desk: Desk) -> int:
    """Where each projection stands. Exit code 1 when one is not ready."""
    desk.offline_only("projection status")
    with desk.house() as house:
        found = engine.status(house.store, PROJECTIONS)
        tree = tree_standing(house)
    items = [{**msgspec.to_builtins(one), "kind": _kind(one.inline)} for one in found]
    desk.table([*items, tree], SHOWN)
    return 0 if all(one.ready for one in found) and tree["error"] is None else 1


@projection.command("rebuild")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "everything", is_flag=True, help="Every projection.")
@click.option("--dry-run", "dry", is_flag=True, help="Build, compare, and throw away.")
@click.option(
    "--accept-shorter-log",
    "accept",
    is_flag=True,
    help="Go on though read models have seen events that the log does not have.",
)
@click.option(
    "--accept-newer",
    "newer",
    is_flag=True,
    help="Go back: build anew what a newer program built, for good.",
)
@click.pass_obj
def rebuild_(
    desk: Desk,
    names: tuple[str, ...],
    everything: bool,
    dry: bool,
    accept: bool,
    newer: bool,
) -> int:
    """Build a new generation beside the old one, then switch. A server may go on meanwhile."""
    desk.offline_only("projection rebuild")
    chosen = _chosen(names, everything)
    results: list[dict[str, Any]] = []
    with (
        desk.house(accept_shorter_log=accept, accept_newer=newer) as house,
        bars(desk) as bar,
    ):
        with _failures():
            results += _all_rebuilt(house, chosen, bar, dry=dry)
        # A head that was signed is given up by name and with a reason, not along with the rest.
        if TREE in names or (everything and not accept):
            with _failures():
                results.append(_tree_rebuilt(house, bar(TREE), dry=dry))
    columns = ("name", "same") if dry else ("name", "generation", "position", "events")
    desk.table(results, columns)
    return 0 if all(one.get("same", True) for one in results) else 1


@projection.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "everything", is_flag=True, help="Every projection.")
@click.pass_obj
def verify_(desk: Desk, names: tuple[str, ...], everything: bool) -> int:
    """Fold the log afresh and compare it with the live rows. Exit code 1 when they differ."""
    desk.offline_only("projection verify")
    chosen = _chosen(names, everything or not names)
    verdicts = []
    with desk.house() as house, bars(desk) as bar, tempfile.TemporaryDirectory() as scratch:
        for one in chosen:
            with _failures(), open_scratch(Path(scratch) / one.name) as empty:
                verdicts.append(verify(house.store, one, empty, bar(one.name)))
        tree = None
        if everything or not names or TREE in names:
            tree = tree_scan.scan(house.store, bar(TREE))
    agrees = all(one.ok for one in verdicts) and (tree is None or tree.ok)
    if desk.as_json:
        shown = [msgspec.to_builtins(one) for one in verdicts]
        desk.show(shown if tree is None else [*shown, scanned(tree)])
        return 0 if agrees else 1
    desk.table(
        [
            {
                "name": verdict.name,
                "position": verdict.position,
                "table": table.table,
                "rows": table.rows,
                "different": table.different,
                "digest": table.live[:16],
            }
            for verdict in verdicts
            for table in verdict.tables
        ]
        + ([] if tree is None else _tree_verdict(tree)),
        ("name", "position", "table", "rows", "different", "digest"),
    )
    for verdict in verdicts:
        for table in verdict.tables:
            for difference in table.differences:
                desk.errors.print(sentence_of(difference), markup=False, soft_wrap=True)
    if not agrees:
        told = "Look at the log itself first: gatebook audit verify. A rebuild takes over what it"
        desk.errors.print(
            f"{told} says, right or forged. Mend then: gatebook projection rebuild NAME",
            markup=False,
            soft_wrap=True,
        )
    return 0 if agrees else 1


@projection.command()
@click.argument("name")
@click.pass_obj
def resume(desk: Desk, name: str) -> None:
    """Let a halted projection try again."""
    desk.offline_only("projection resume")
    with desk.house() as house, _failures():
        engine.resume(house.store, projection_named(name).name)
    desk.say(f"{name} tries again.")


@projection.command()
@click.argument("name")
@click.argument("position", type=click.IntRange(1))
@click.pass_obj
def skip(desk: Desk, name: str, position: int) -> None:
    """Let a halted projection pass over one event. This is recorded in the log."""
    desk.offline_only("projection skip")
    with desk.house() as house, _failures():
        chosen = projection_named(name)
        with house.store.reading() as reader:
            engine.check_halted_at(reader, name, position)
        desk.confirm(f"Leave event {position} out of {name} for ever?")
        event = deployment.ProjectionEventSkipped(projection=name, position=position)
        house.app.record_one(event, deployment.STREAM_ID, local(local_user()))
        engine.skip(house.store, chosen.name, position)
    desk.say(f"{name} passes over event {position}.")


def sentence_of(found: Difference) -> str:
    """A row that is not what the log says, in words."""
    key = " ".join(_part(part) for part in found.key)
    if found.folded is None:
        return f"{found.table} {key}: in the read model, not in the log"
    if found.live is None:
        return f"{found.table} {key}: in the log, not in the read model"
    changed = [name for name, value in found.folded.items() if found.live.get(name) != value]
    said = ", ".join(
        f"{name} is {_part(found.live[name])} and should be {_part(found.folded[name])}"
        for name in changed
    )
    return f"{found.table} {key}: {said}"


def _part(value: bytes | int | str | None) -> str:
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == 16 else value.hex()
    return str(value)


def _kind(inline: bool) -> str:
    return "inline" if inline else "following"


def _chosen(names: tuple[str, ...], everything: bool) -> list[Projection]:
    if everything:
        return list(PROJECTIONS)
    if not names:
        raise click.UsageError("Name projections, or say --all.")
    with _failures():
        return [projection_named(name) for name in names if name != TREE]


def _all_rebuilt(
    house: House, chosen: list[Projection], bar: rebuilding.Bars, *, dry: bool
) -> list[dict[str, Any]]:
    if not dry and len(chosen) > 1 and house.store.head() >= rebuilding.WORTHWHILE:
        built = rebuilding.at_once(house.store, house.settings.store_url, chosen, bar)
        return [msgspec.to_builtins(one) for one in built]
    return [_rebuilt(house, one, bar(one.name), dry=dry) for one in chosen]


def _rebuilt(
    house: House, one: Projection, progress: Callable[[int, int], None], *, dry: bool
) -> dict[str, Any]:
    if dry:
        compared = dry_run(house.store, one, progress)
        return {"name": one.name, "same": compared.same, **msgspec.to_builtins(compared)}
    built: dict[str, Any] = msgspec.to_builtins(rebuild(house.store, one, house.clock, progress))
    return built


def _tree_rebuilt(
    house: House, progress: Callable[[int, int], None], *, dry: bool
) -> dict[str, Any]:
    if dry:
        found = tree_scan.scan(house.store, progress)
        return {**scanned(found), "same": found.ok}
    found = tree_scan.rebuild(house.store, progress, lambda: conflict_stands(house))
    return {**scanned(found), "generation": 1, "events": found.events}


def _tree_verdict(found: tree_scan.Scan) -> list[dict[str, Any]]:
    """Tiles and heads as tables are shown."""
    return [
        {
            "name": TREE,
            "position": found.events,
            "table": table,
            "rows": rows,
            "different": different,
            "digest": found.root.hex()[:16],
        }
        for table, rows, different in (
            ("tree_tiles", None, len(found.wrong_tiles)),
            ("tree_heads", found.heads, len(found.wrong_heads)),
        )
    ]


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (
        FoldFailed,
        NotHalted,
        SwitchedMeanwhile,
        TreeRefuted,
        UnknownProjection,
        rebuilding.RebuildFailed,
    ) as error:
        raise Failed(str(error)) from error
