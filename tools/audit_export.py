"""`gatebook audit export`: a copy of the log that its receiver can prove to be whole.

Events go out in batches. Each ends in a signed head of exactly the events up to there, so that
their leaf hashes alone lead to its root: nothing was left out, and nothing is there twice.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import click

from gatebook.projections.merkle import HASH_SIZE
from gatebook.projections.tiles import WIDTH, path_of, width_at
from gatebook.store.checkpoints import parse
from gatebook.tools import export_cef, export_jsonl, export_ocsf
from gatebook.tools.desk import UNAVAILABLE, Api, Desk, Failed
from gatebook.tools.export_output import Output, opened
from gatebook.tools.progress import Tell, bar

FORMATS: Final[dict[str, ModuleType]] = {
    "jsonl": export_jsonl,
    "ocsf": export_ocsf,
    "cef": export_cef,
}
PAGE: Final = 500
WAIT: Final = 30
SHORTEST, LONGEST = 0.25, 30.0
"""Seconds between two tries, the first and the last of them."""


@click.command()
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="jsonl")
@click.option("--after", type=click.IntRange(0), metavar="POSITION", help="Only what follows it.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    help="Append to a file, behind what is in it already, instead of standard output.",
)
@click.pass_obj
def export(desk: Desk, form: str, after: int | None, follow: bool, output: str | None) -> None:
    """Copy the log, up to its newest signed head.

    Each batch ends in the head that it leads to: tools/receiver.py proves that none is missing. An
    interrupted copy goes on with --output where it stopped, or with --after.
    """
    with opened(output, after, FORMATS[form]) as out, desk.api() as api:
        if follow:
            _follow(desk, api, out, form)
            return
        note = _begin(api, out, form, follow=False)
        with bar(desk, "export") as tell:
            _batch(api, out, FORMATS[form], note, tell)
    if output is not None:
        desk.say(f"{output} has the log up to event {out.position}.")


def _begin(api: Api, out: Output, form: str, *, follow: bool) -> str:
    """Has the export recorded. Returns the signed head that its first batch leads to."""
    api.octets("/v1/audit/checkpoint")  # at the command line this brings the tree level
    body = {"format": form, "after": out.position, "follow": follow}
    return str(api.call("POST", "/v1/audit/exports", body)["checkpoint"])


def _follow(desk: Desk, api: Api, out: Output, form: str) -> None:
    """Batch after batch, without end. A server that is away is asked again, ever more rarely."""
    note: str | None = None
    pause = SHORTEST
    while True:
        try:
            note = note or _begin(api, out, form, follow=True)
            _batch(api, out, FORMATS[form], note, lambda _done, _total: None)
            pause = SHORTEST
            _await(api, out.position)
            note = _newer(api, out.position)
        except Failed as failure:
            if failure.code != UNAVAILABLE:
                raise
            if not desk.quiet:
                desk.errors.print(f"{failure.message}; again in {pause:g} s", markup=False)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)


def _await(api: Api, after: int) -> None:
    """Returns once there is an event behind a position."""
    while True:
        began = time.monotonic()
        if api.get("/v1/audit/feed", after=after, wait=WAIT, limit=1)["items"]:
            return
        if time.monotonic() - began < 1:  # too many wait there already
            time.sleep(1)


def _newer(api: Api, after: int) -> str:
    """The newest signed head, once it covers more than a position."""
    pause = SHORTEST
    while True:
        note = api.text("/v1/audit/checkpoint")
        if parse(note)[0].size > after:
            return note
        time.sleep(pause)
        pause = min(2 * pause, 4)


def _batch(api: Api, out: Output, form: ModuleType, note: str, tell: Tell) -> None:
    """Writes the events up to a signed head, and the head."""
    size, first, recorded_at = parse(note)[0].size, out.position, ""
    hashes = _leaf_hashes(api, first, size)
    while out.position < size:
        limit = min(PAGE, size - out.position)
        items: list[dict[str, Any]] = api.get("/v1/audit/feed", after=out.position, limit=limit)[
            "items"
        ]
        for event in items:
            if event["position"] != out.position + 1:
                break
            recorded_at = event["recorded_at"]
            out.write(form.event_line(event, next(hashes)), event["position"])
        else:
            out.flush()
            tell(out.position - first, size - first)
            if items:
                continue
        raise Failed(f"event {out.position + 1} is missing: gatebook audit verify")
    if not out.is_sealed:
        last = recorded_at or _recorded_at(api, size)
        out.seal(form.checkpoint_line(note, last))


def _recorded_at(api: Api, position: int) -> str:
    """When an event was recorded, whose line was the last before a kill."""
    items = api.get("/v1/audit/feed", after=position - 1, limit=1)["items"]
    return str(items[0]["recorded_at"])


def _leaf_hashes(api: Api, after: int, size: int) -> Iterator[str]:
    """The leaf hashes of the events behind a position in a tree of that size, in base64."""
    for tile in range(after // WIDTH, -(-size // WIDTH)):
        path = path_of(tile, width_at(size, 0, tile))
        found = api.octets(f"/tlog/tile/0/{path}")
        for at in range(max(0, after - tile * WIDTH), len(found) // HASH_SIZE):
            yield b64encode(found[at * HASH_SIZE : (at + 1) * HASH_SIZE]).decode()
