"""`gatebook audit checkpoint` and `audit witness`: signed heads, here and where they are kept."""

from __future__ import annotations

import os
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import click
import msgspec

from gatebook.api.local import follow_up
from gatebook.domain.application.core import local
from gatebook.projections import tree_tables as tables
from gatebook.projections.tiles import TilesDamaged
from gatebook.store.checkpoint_key import recorded_keys
from gatebook.store.checkpoints import parse
from gatebook.store.house import House
from gatebook.store.tree_accept import NothingToAccept, accept, pending
from gatebook.store.tree_heads import witness_conflict
from gatebook.store.witness import Witness, WitnessDamaged, all_notes
from gatebook.store.witnesses import witnesses_of
from gatebook.tools.desk import Desk, Failed, local_user, refused_file

SHOWN = ("witness", "heads", "newest", "written", "verdict")


@click.command()
@click.option("--key", "as_key", is_flag=True, help="The key that verifies it, instead.")
@click.option("--save", type=click.Path(dir_okay=False), help="Append the note to a file as well.")
@click.pass_obj
def checkpoint(desk: Desk, as_key: bool, save: str | None) -> None:
    """Print the newest signed head of the log: keep it where nobody can change it."""
    with desk.api() as api:
        written = api.text("/v1/audit/checkpoint/key" if as_key else "/v1/audit/checkpoint")
    if save is not None:
        _append(Path(save), written)
    if not desk.as_json:
        click.echo(written, nl=False)
    elif as_key:
        desk.show({"origin": written.partition("+")[0], "verifier_key": written.strip()})
    else:
        head = parse(written)[0]
        root = b64encode(head.root).decode()
        desk.show({"origin": head.origin, "size": head.size, "root": root, "note": written})


@click.command()
@click.option("--accept", "accepted", metavar="FILE", help="Go on past the head that FILE holds.")
@click.option("--reason", help="Why. It is recorded in the log.")
@click.pass_obj
def witness(desk: Desk, accepted: str | None, reason: str | None) -> int:
    """Compare every witness file with the log. Exit code 1 when one disagrees.

    After an older backup was restored on purpose, --accept FILE --reason TEXT sets the file aside
    and lets signing go on. FILE may be `store`, for the heads beside the log itself, or a file that
    signing stopped for and that is gone since.
    """
    desk.offline_only("audit witness")
    if (accepted is None) != (reason is None):
        raise click.UsageError("--accept FILE and --reason TEXT come together.")
    with desk.house() as house:
        follow_up(house)
        if accepted is not None and reason is not None:
            _accept(desk, house, accepted, reason)
            return 0
        found = [_compared(house, one) for one in witnesses_of(house.settings)]
        halted = tables.state(house.store).halted
    if found or desk.as_json:
        desk.table(found, SHOWN)
    else:
        desk.say("No witness is configured: [audit] witness_files names none.")
    if halted is not None:
        desk.errors.print(f"Nothing is signed: {halted}.", markup=False, soft_wrap=True)
    return 0 if halted is None and all(one["agrees"] for one in found) else 1


def _accept(desk: Desk, house: House, named: str, reason: str) -> None:
    try:
        given = pending(house, named).conflict
        question = f"Give up the head of {given.checkpoint.size} events that {given.witness} holds"
        desk.confirm(f"{question}, for good, as: {reason}?")
        done = accept(house, named, reason, local(local_user()))
    except (NothingToAccept, WitnessDamaged, TilesDamaged, OSError) as error:
        raise Failed(str(error)) from error
    follow_up(house)
    kept = f" The file is {done.kept_as} now." if done.kept_as else ""
    desk.say(f"The head of {done.size} events is given up.{kept} Signing goes on.")


def _compared(house: House, one: Witness) -> dict[str, Any]:
    """A file in one row. What cannot be read does not agree."""
    heads, newest, written, verdict, agrees = 0, None, None, "agrees", True
    try:
        keys = recorded_keys(house.store)
        for note in all_notes(one.path):
            heads += 1
            newest = note
        written = _time(one.path.stat().st_mtime)
        conflict = witness_conflict(house.store, one, one.heads(keys)[0])
        if conflict is not None:
            verdict, agrees = conflict.reason, False
    except FileNotFoundError:
        verdict, agrees = _absent(house, one)
    except (OSError, WitnessDamaged, TilesDamaged) as error:
        verdict, agrees = f"cannot be compared: {error}", False
    return {
        "witness": one.name,
        "heads": heads,
        "newest": int(newest.split("\n")[1]) if newest is not None else None,
        "written": written,
        "verdict": verdict,
        "agrees": agrees,
    }


def _absent(house: House, one: Witness) -> tuple[str, bool]:
    """What it means that a file is not there: it is made with the next head, if it can be."""
    if not one.path.parent.is_dir():
        return "cannot be written: its directory is not there", False
    row = next((row for row in tables.witnesses(house.store) if row.name == one.name), None)
    if row is not None and row.size:
        return f"is not there any more: it had the head of {row.size} events", False
    return "not written yet", True


def _append(path: Path, note: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused_file(error) from error


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def tree_standing(house: House) -> dict[str, Any]:
    """The tree in one row, as a projection is shown."""
    found, head = tables.state(house.store), house.store.head()
    return {
        "name": "tree",
        "kind": "following",
        "status": "live" if found.halted is None else "halted",
        "version": 1,
        "generation": 1,
        "position": found.size,
        "lag": head - found.size,
        "error": found.halted,
    }


def scanned(found: msgspec.Struct) -> dict[str, Any]:
    """A scan of the tree as a row."""
    row: dict[str, Any] = msgspec.to_builtins(found)
    return {"name": "tree", "position": row.pop("events"), **row}
