"""`gatebook audit replay`: the state from the log alone, and whether the read models agree."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from gatebook.api.local import record_use
from gatebook.store.faults import StoreRefused
from gatebook.store.house import House
from gatebook.store.replaying import Replayed, check, replay
from gatebook.tools.desk import USAGE, Desk, Failed, check_id, is_id, local_user
from gatebook.tools.moments import MOMENT
from gatebook.tools.places import Moment, place_of
from gatebook.tools.progress import bar
from gatebook.tools.projections import sentence_of
from gatebook.tools.replay_output import SECTIONS, Item, Shown, document, encoded

Keep = Callable[[str, Item], bool]
"""Whether a thing of a section is asked for."""


@click.command("replay")
@click.option("--until", "moment", type=MOMENT, metavar="TIME|POSITION", help="No further.")
@click.option("--account", metavar="ACCOUNT", help="Only what is this account's.")
@click.option("--role", metavar="ROLE", help="Only this role.")
@click.option("--session", metavar="ID", help="Only this session.")
@click.option("--token", "jti", metavar="JTI", help="Only this access token.")
@click.option("--provider", metavar="ID", help="Only this provider, and who came from there.")
@click.option("--all", "everything", is_flag=True, help="Everything; so it is without a choice.")
@click.option("--check", "checking", is_flag=True, help="Compare with the live read models.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to FILE.")
@click.pass_obj
def replay_(
    desk: Desk,
    /,
    moment: Moment | None,
    everything: bool,
    checking: bool,
    output: str | None,
    **asked: str | None,
) -> int:
    """Fold the log from nothing and print the state as JSON; writes nothing but that it was done.

    With --check, hold it against the live read models instead: exit code 1 at the first difference.
    """
    desk.offline_only("audit replay")
    chosen = {name: value for name, value in asked.items() if value is not None}
    if len(chosen) + everything > 1:
        raise Failed("ask for one thing at a time, or --all", USAGE)
    if checking and (chosen or moment is not None or output is not None):
        raise Failed("--check compares everything, at the end of the log", USAGE)
    for name, thing in (("session", "session"), ("jti", "token"), ("provider", "provider")):
        if name in chosen:
            check_id(chosen[name], thing, "audit replay")
    with desk.house() as house:
        record_use(house, local_user(), "audit replay")
        try:
            if checking:
                return _check(desk, house)
            _print(desk, house, moment, chosen, output)
        except StoreRefused as error:
            raise Failed(str(error)) from error
    return 0


def _print(
    desk: Desk, house: House, moment: Moment | None, chosen: dict[str, str], output: str | None
) -> None:
    place = place_of(house, moment)
    with house.store.reading() as reader, bar(desk, "replay") as tell:
        began = time.monotonic()
        upto = reader.head() if place is None else place.position
        replayed = replay(reader, house.mapper, upto, tell)
    _tell_rate(desk, replayed, time.monotonic() - began)
    house.notice_erasures()
    shown = Shown(replayed, replayed.recorded_at if place is None else place.at, house.opened)
    lines = document(shown) if not chosen else _chosen(house, shown, *next(iter(chosen.items())))
    if output is None:
        out = sys.stdout.buffer
        for line in lines:
            out.write(line)
        out.flush()
        return
    _write(Path(output), lines)
    desk.say(f"{output} has the state at event {replayed.position}.")


def _chosen(house: House, shown: Shown, kind: str, named: str) -> Iterator[bytes]:
    """One thing and what belongs to it, section by section, those with nothing left out."""
    position = shown.replayed.position
    found: dict[str, Any] = {}
    keep = _keeping(house, shown, kind, named)
    for name, section in SECTIONS.items():
        if items := [item for item in section(shown) if keep(name, item)]:
            found[name] = items
    if not found:
        thing = "token" if kind == "jti" else kind
        raise Failed(f"there is no such {thing} at event {position}")
    yield encoded({"at": shown.at_time, "position": position, **found}) + b"\n"


def _keeping(house: House, shown: Shown, kind: str, named: str) -> Keep:
    if kind == "role":
        return lambda name, item: name == "roles" and item["name"] == named
    wanted = _account_id(house, shown, named) if kind == "account" else UUID(named)
    match kind:
        case "account":
            return lambda name, item: (
                wanted
                in (
                    item.get("account_id"),
                    item["id"] if name == "accounts" else None,
                )
            )
        case "session":
            return lambda name, item: name == "sessions" and item["id"] == wanted
        case "jti":
            return lambda _name, item: item.get("jti") == wanted
        case _:
            return lambda name, item: (
                wanted
                in (
                    item.get("provider_id"),
                    item["id"] if name == "providers" else None,
                )
            )


def _account_id(house: House, shown: Shown, named: str) -> UUID:
    """By its id, or by the name that it has at that place of the log."""
    if is_id(named):
        return UUID(named)
    claimed = house.accounts.load_name(named).stream_id.bytes
    found = shown.state.usernames.get(claimed)
    if found is None or found.owner is None:
        raise Failed(f"there is no account {named!r} at event {shown.replayed.position}")
    return found.owner


def _check(desk: Desk, house: House) -> int:
    """The log and the rows are read in one snapshot, so a server may go on meanwhile."""
    with house.store.reading() as reader, bar(desk, "replay") as tell:
        began = time.monotonic()
        replayed = replay(reader, house.mapper, reader.head(), tell)
        seconds = time.monotonic() - began
        found = check(reader, replayed.replay)
    _tell_rate(desk, replayed, seconds)
    if found.first is None:
        rows = [{"table": table, "rows": count} for table, count in found.rows.items()]
        if desk.as_json:
            desk.show({"same": True, "position": replayed.position, "rows": found.rows})
            return 0
        desk.table(rows, ("table", "rows"))
        desk.say(f"The read models are what the log says, up to event {replayed.position}.")
        return 0
    text = sentence_of(found.first)
    if desk.as_json:
        desk.show({"same": False, "position": replayed.position, "difference": text})
    desk.errors.print(text, markup=False, soft_wrap=True)
    return 1


def _tell_rate(desk: Desk, replayed: Replayed, seconds: float) -> None:
    if not desk.quiet:
        rate = replayed.position / max(seconds, 1e-6)
        line = f"{replayed.position:,} events in {seconds:.1f} s, {rate:,.0f} a second"
        desk.errors.print(line, markup=False, soft_wrap=True)


def _write(path: Path, lines: Iterator[bytes]) -> None:
    """Whole or not at all, for its owner's eyes: it holds names."""
    new = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(lines)
        new.replace(path)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
