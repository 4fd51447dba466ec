"""`gatebook audit timeline`: an account's life, on a terminal or as a page that stands alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from gatebook.store.system import SystemClock
from gatebook.tools.desk import Api, Desk, Failed, plain, rfc3339
from gatebook.tools.timeline import Bands, Life, Row, end_of, microseconds, moment, rows
from gatebook.tools.timeline_page import page

MOST: Final = 2_000
"""Moments that are shown, the newest of them; what came before is in the bands all the same."""

NAMES: Final = 50
"""Accounts whose names are looked up: those who did something to this one."""

BAR: Final = 48
_STYLES: Final = {"good": "green", "bad": "red", "change": "yellow", "quiet": "dim"}
_BARS: Final = {"Status": "cyan", "Roles": "yellow", "Locks": "red", "Sessions": "green"}


@click.command()
@click.argument("account")
@click.option("--since", metavar="TIME", help="RFC 3339.")
@click.option("--until", metavar="TIME", help="RFC 3339.")
@click.option(
    "--html", type=click.Path(dir_okay=False), help="Write a page that needs no network to FILE."
)
@click.pass_obj
def timeline(
    desk: Desk, account: str, since: str | None, until: str | None, html: str | None
) -> None:
    """Show an account's life: what happened, and its states as bars."""
    with desk.api() as api:
        life = _life(api, account, _instant(since, "--since"), _instant(until, "--until"))
    if html is not None:
        _write(Path(html), page(life))
        desk.say(f"{html}: {len(life.moments)} events, to be opened in any browser.")
    elif desk.as_json:
        click.echo(msgspec.json.encode(life).decode())
    else:
        _print(desk, life)


def _instant(given: str | None, option: str) -> int | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
        return microseconds(given if at.tzinfo else at.replace(tzinfo=UTC).isoformat())
    except ValueError:
        raise click.UsageError(
            f"{option} wants a time such as 2026-01-31T12:00:00Z, not {given!r}."
        ) from None


def _life(api: Api, named: str, since: int | None, until: int | None) -> Life:
    """Reads all about an account, so that every state stands as it was when the time begins."""
    account_id = api.account_id(named)
    now = SystemClock().now()
    at = rfc3339(until) if until is not None and until < now else None
    account: dict[str, Any] = api.get(f"/v1/accounts/{account_id}", at=at)
    history = api.items(f"/v1/accounts/{account_id}/history", MOST)
    texts = {one["position"]: one["text"] for one in history}
    names = _Names(api, account)
    bands, moments, left_out = Bands(), [], 0
    for event in _events(api, account_id):
        recorded_at = microseconds(event["recorded_at"])
        if until is not None and recorded_at >= until:
            break
        bands.fold(event)
        if since is None or recorded_at >= since:
            moments.append(moment(event, texts.get(event["position"]), names.of(event["actor"])))
            if len(moments) > MOST:
                moments.pop(0)
                left_out += 1
    begin = since if since is not None else microseconds(account["created_at"])
    end = max(min(until or now, now), begin)
    shown = [one for one in bands.all if end_of(one, end) >= begin]
    return Life(account, begin, end, now, moments, shown, left_out)


def _events(api: Api, account_id: str) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        found = api.get("/v1/audit", account=account_id, limit=500, after=after)
        yield from found["items"]
        after = found["next"]
        if after is None:
            return


class _Names:
    """Who did it, by name where that can be known. An unknown id stays one."""

    def __init__(self, api: Api, account: dict[str, Any]) -> None:
        self._api = api
        self._known: dict[str, str] = {account["id"]: account["username"] or "(erased)"}

    def of(self, actor: dict[str, str]) -> str:
        """An actor in words."""
        if actor["type"] != "account":
            return f"{actor['id']} (local)" if actor["type"] == "local" else actor["type"]
        found = self._known.get(actor["id"])
        if found is None and len(self._known) <= NAMES:
            found = self._known[actor["id"]] = self._looked_up(actor["id"])
        return found or actor["id"]

    def _looked_up(self, account_id: str) -> str:
        try:
            return str(self._api.get(f"/v1/accounts/{account_id}")["username"] or account_id)
        except Failed:
            return account_id  # who may read the log need not see accounts


def _print(desk: Desk, life: Life) -> None:
    account = life.account
    title = f"{account['username'] or '(erased)'}  {account['type']}  {account['status']}"
    desk.console.print(Text(plain(f"{title}  {account['id']}"), style="bold"))
    desk.console.print(Text(f"{rfc3339(life.begin)} to {rfc3339(life.end)}", style="dim"))
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows(life.bands, life.end):
        many = len(row.bands)
        counted = f"{many} session{'s' * (many != 1)}"
        words = counted if row.group == "Sessions" else row.bands[-1].label
        table.add_row(Text(row.group, style="dim"), _bar(row, life), Text(plain(words)))
    desk.console.print(table)
    desk.console.print()
    _print_moments(desk, life)


def _bar(row: Row, life: Life) -> Text:
    """A line of the terminal from the time's begin to its end."""
    style = _BARS.get(row.group, "blue")
    cells = [(" ", "")] * BAR
    span = max(1, life.end - life.begin)
    for band in row.bands:
        first = max(0, band.begin - life.begin) * (BAR - 1) // span
        last = max(first, (end_of(band, life.end) - life.begin) * (BAR - 1) // span)
        is_off = band.group == "Status" and band.label != "active"
        for at in range(first, last + 1):
            cells[at] = ("━", "red" if is_off else style)
    return Text.assemble("│", *cells, "│")


def _print_moments(desk: Desk, life: Life) -> None:
    if life.left_out:
        desk.say(f"({life.left_out} earlier events are not shown: say --since and --until)")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("time", "what happened", "by", "position"):
        table.add_column(heading, overflow="fold", justify="right" if heading[0] == "p" else "left")
    for one in life.moments:
        table.add_row(
            rfc3339(one.at),
            Text(plain(one.text), style=_STYLES[one.tone]),
            Text(plain(one.actor)),
            str(one.position),
        )
    desk.console.print(table)


def _write(path: Path, content: str) -> None:
    """Whole or not at all, for its owner's eyes: it holds what the log holds."""
    try:
        # Under a name that nobody can know: in a shared directory a link may stand at any other.
        with NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
            try:
                file.write(content)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
