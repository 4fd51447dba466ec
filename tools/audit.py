"""`gatebook audit`: reading the log."""

from __future__ import annotations

import json
from typing import Any

import click

from gatebook.tools.audit_export import export
from gatebook.tools.audit_past import as_of, diff, explain
from gatebook.tools.audit_replay import replay_
from gatebook.tools.audit_simulate import simulate
from gatebook.tools.audit_timeline import timeline
from gatebook.tools.audit_verify import verify_
from gatebook.tools.checkpoints import checkpoint, witness
from gatebook.tools.desk import Api, Desk, Failed, plain

COLUMNS = ("position", "recorded_at", "type", "actor", "account_id", "data")


@click.group()
def audit() -> None:
    """Read the log."""


audit.add_command(checkpoint)
audit.add_command(witness)
audit.add_command(verify_)
audit.add_command(as_of)
audit.add_command(diff)
audit.add_command(explain)
audit.add_command(export)
audit.add_command(timeline)
audit.add_command(replay_)
audit.add_command(simulate)


@audit.command()
@click.option(
    "-n", "--n", "most", type=click.IntRange(0), default=20, help="So many to begin with."
)
@click.option("--follow", is_flag=True, help="Go on with what happens from now on.")
@click.pass_obj
def tail(desk: Desk, most: int, follow: bool) -> None:
    """Show the newest events, oldest of them first."""
    with desk.api() as api:
        found = api.items("/v1/audit", most, order="desc") if most else []
        found.reverse()
        if not follow:
            _show(desk, found)
            _say_if_cut_off(api)
            return
        for event in found:
            _line(desk, event)
        after = found[-1]["position"] if found else _head(api)
        while True:
            page = api.get("/v1/audit/feed", after=after, wait=30)
            for event in page["items"]:
                _line(desk, event)
                after = event["position"]


@audit.command()
@click.option("--account", metavar="ACCOUNT")
@click.option("--actor")
@click.option("--type", "kind", metavar="TYPE", help="Such as login.failed.")
@click.option("--category")
@click.option("--request-id")
@click.option("--since", metavar="TIME", help="RFC 3339.")
@click.option("--until", metavar="TIME", help="RFC 3339.")
@click.option("--order", type=click.Choice(["asc", "desc"]), default="asc")
@click.option("-n", "most", type=click.IntRange(1), help="Only the newest so many.")
@click.pass_obj
def query(
    desk: Desk, /, account: str | None, kind: str | None, most: int | None, **rest: Any
) -> None:
    """Find events."""
    with desk.api() as api:
        named = None if account is None else api.account_id(account)
        if most is None:
            _show(desk, api.items("/v1/audit", account=named, type=kind, **rest))
            _say_if_cut_off(api)
            return
        backwards = rest.pop("order") == "desc"
        found = api.items("/v1/audit", most, account=named, type=kind, order="desc", **rest)
        _show(desk, found if backwards else found[::-1])
        _say_if_cut_off(api)


@audit.command()
@click.argument("position", type=click.IntRange(1))
@click.option("--changes", "changes_too", is_flag=True, help="What it changed, field by field.")
@click.pass_obj
def show(desk: Desk, position: int, changes_too: bool) -> None:
    """Show one event."""
    with desk.api() as api:
        if not changes_too:
            desk.show(api.get(f"/v1/audit/events/{position}"))
            return
        found = api.get(f"/v1/audit/events/{position}/changes")
    if desk.as_json:
        desk.show(found)
        return
    desk.table(found["changes"], ("field", "before", "after"))
    if found["hidden"]:
        desk.say(f"Secret, and changed too: {', '.join(found['hidden'])}")


def _head(api: Api) -> int:
    newest = api.items("/v1/audit", 1, order="desc")
    return int(newest[0]["position"]) if newest else 0


def _say_if_cut_off(api: Api) -> None:
    """A halted read model answers as far as it came: that must not look like the log's end."""
    try:
        api.get("/v1/ready")
    except Failed as failure:
        for told in failure.problem.get("problems", ()):
            if told.startswith("The read model audit "):
                click.echo(f"gatebook: {plain(told)} What is newer is not shown.", err=True)


def _show(desk: Desk, events: list[dict[str, Any]]) -> None:
    if desk.as_json:
        for event in events:
            click.echo(json.dumps(event, ensure_ascii=False))
        return
    desk.table([_flat(event) for event in events], COLUMNS)


def _line(desk: Desk, event: dict[str, Any]) -> None:
    if desk.as_json:
        click.echo(json.dumps(event, ensure_ascii=False))
        return
    flat = _flat(event)
    click.echo(plain("  ".join(str(flat[name]) for name in COLUMNS)))


def _flat(event: dict[str, Any]) -> dict[str, Any]:
    actor = event["actor"]
    named = f"{actor['type']}:{actor['id']}" if actor.get("id") else actor["type"]
    return {**event, "actor": named, "data": json.dumps(event["data"], ensure_ascii=False)}
