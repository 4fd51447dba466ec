"""`gatebook audit simulate`: the recorded history under a proposed policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click

from gatebook.api.decoding import instant
from gatebook.api.local import record_use
from gatebook.domain.envelope import Recorded
from gatebook.domain.simulation import Finding
from gatebook.store.house import House
from gatebook.store.simulating import Simulated, Simulation, Span
from gatebook.tools.desk import USAGE, Desk, Failed, local_user
from gatebook.tools.moments import MOMENT
from gatebook.tools.places import Moment, place_of
from gatebook.tools.policy_file import proposal_of, read
from gatebook.tools.progress import bar

SAID: Final = {
    "locked-out": "right passwords and codes that would have met a lock",
    "guess-prevented": "wrong guesses that would have met a lock",
    "tries-let-through": "tries that a lock refused, and no lock would have",
    "lock-added": "locks that were not set",
    "lock-gone": "locks that would not have been set",
    "lock-moved": "locks that would have ended at another time",
    "request-refused": "requests that would have been refused",
    "request-allowed": "requests that were refused and would have been allowed",
    "other-roles": "provider sign-ins that would have given other roles",
    "sign-in-refused": "provider sign-ins that would have been refused",
    "groups-unknown": "provider sign-ins whose groups are not on record",
    "password-change-asked": "sign-ins that would have asked for another password",
    "roles-held-back": "sign-ins with one factor whose roles would have been held back",
    "roles-not-held-back": "sign-ins with one factor whose roles would have counted",
}

UNKNOWN: Final = (
    "Tries that met a lock are on record by the hour and not one by one: of which some would have "
    "been let through, nobody can tell whether they would have been right."
)


@click.command()
@click.option(
    "--policy", "file", required=True, type=click.Path(dir_okay=False), help="The proposed policy."
)
@click.option("--since", type=MOMENT, metavar="TIME|POSITION", help="Report from here on.")
@click.option("--until", type=MOMENT, metavar="TIME|POSITION", help="And no further.")
@click.option(
    "--limit", type=click.IntRange(0), default=50, help="So many are listed; all are counted."
)
@click.pass_obj
def simulate(desk: Desk, file: str, since: Moment | None, until: Moment | None, limit: int) -> None:
    """Run the recorded history under a proposed policy file; changes nothing.

    Shows what would have been decided otherwise, for owners apart from strangers. The file is TOML:
    [lockout] threshold, duration, reset; [roles.NAME] permissions or deleted; [[mappings]]
    provider, group, role, remove; [passwords] max_age; [mfa] required_for.
    """
    desk.offline_only("audit simulate")
    given = read(Path(file))
    with desk.house() as house:
        record_use(house, local_user(), "audit simulate")
        proposal = proposal_of(given, house)
        span = _span(house, since, until)
        house.notice_erasures()
        simulation = Simulation(proposal, house.mapper, lambda recorded: _address(house, recorded))
        with house.store.reading() as reader, bar(desk, "simulate") as tell:
            found = simulation.run(reader, span, limit, tell)
        _show(desk, house, found, span, limit)


def _span(house: House, since: Moment | None, until: Moment | None) -> Span:
    first, last = place_of(house, since), place_of(house, until)
    by_time = since is not None and since[0] == "at"
    begin = 1 if first is None else first.position + by_time
    end = house.store.head() if last is None else last.position
    if begin > end:
        raise Failed("nothing was recorded between these two", USAGE)
    return Span(begin, end)


def _address(house: House, recorded: Recorded) -> str | None:
    source = house.source_of(recorded)
    return source.ip if source is not None else None


def _show(desk: Desk, house: House, found: Simulated, span: Span, limit: int) -> None:
    concerned = [one.account_id for one in found.tally.listed if one.account_id is not None]
    names = _names(house, {*concerned, *(one.account_id for one in found.moved[:limit])})
    counts = [
        {
            "rule": rule,
            "what": what,
            "who": who,
            "count": count,
            "accounts": len(found.tally.accounts.get((rule, what, who), ())),
            "text": SAID[what],
        }
        for (rule, what, who), count in sorted(found.tally.counts.items())
    ]
    listed = [_listed(one, names) for one in found.tally.listed]
    moved = [
        {
            "account_id": str(one.account_id),
            "username": names.get(one.account_id),
            "gained": one.gained,
            "lost": one.lost,
        }
        for one in found.moved[:limit]
    ]
    if desk.as_json:
        shown: dict[str, Any] = {
            "first": span.first,
            "last": span.last,
            "same": not counts and not found.moved,
            "counts": counts,
            "findings": listed,
            "left_out": found.tally.left_out,
            "permissions": moved,
            "permissions_left_out": max(0, len(found.moved) - limit),
            "unknown": UNKNOWN,
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    _print(desk, found, span, counts, listed, moved)


def _print(
    desk: Desk,
    found: Simulated,
    span: Span,
    counts: list[dict[str, Any]],
    listed: list[dict[str, Any]],
    moved: list[dict[str, Any]],
) -> None:
    desk.say(f"events {span.first} to {span.last}")
    if not counts and not moved:
        desk.say("Nothing would have been decided otherwise.")
        return
    desk.table(counts, ("rule", "who", "count", "accounts", "text"))
    if listed:
        desk.say("")
        desk.table(listed, ("position", "at", "what", "who", "account", "detail"))
    if found.tally.left_out:
        desk.say(f"({found.tally.left_out} more: say --limit)")
    if moved:
        desk.say("\nAt the end, with these permissions gained and lost:")
        desk.table(moved, ("username", "account_id", "gained", "lost"))
        if len(found.moved) > len(moved):
            desk.say(f"({len(found.moved) - len(moved)} more: say --limit)")
    if any(one["rule"] == "lockout" for one in counts):
        desk.say(f"\n{UNKNOWN}")


def _listed(one: Finding, names: dict[UUID, str | None]) -> dict[str, Any]:
    account_id = one.account_id
    return {
        "position": one.position,
        "at": instant(one.at).isoformat().replace("+00:00", "Z"),
        "rule": one.rule,
        "what": one.what,
        "who": one.who,
        "account_id": None if account_id is None else str(account_id),
        "account": None if account_id is None else names.get(account_id) or str(account_id),
        "count": one.count,
        "detail": one.detail,
    }


def _names(house: House, accounts: set[UUID]) -> dict[UUID, str | None]:
    """What accounts are called now; None once they are erased."""
    at = house.clock.now()
    found = {account_id: house.access.account(account_id, at) for account_id in accounts}
    return {key: one.username for key, one in found.items() if one is not None}
