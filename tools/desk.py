"""What every command has at hand: the options, a way to the API, and how answers are shown.

Every account, role, token and audit verb is a call of the REST API: of a running server with
`--server`, else of the same application in this process, with the operating-system user as caller.
So both do the same, check the same and record the same.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from gatebook.api.local import local_client
from gatebook.store.house import House, open_house
from gatebook.store.setting_checks import is_loopback
from gatebook.store.settings import Settings
from gatebook.tools.cells import cell, dig
from gatebook.tools.cells import plain as plain
from gatebook.tools.cells import rfc3339 as rfc3339
from gatebook.tools.invoker import denied, remote, session_file
from gatebook.tools.invoker import local_user as local_user

DONE, REFUSED, USAGE, UNAVAILABLE, CONFIGURATION = 0, 1, 2, 3, 78
TOKEN_VARIABLE = "GATEBOOK_TOKEN"  # noqa: S105 - the name of a variable
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
DEFAULT_CONFIG = "gatebook.toml"


class Failed(click.ClickException):
    """A command that ends with an exit code of its own."""

    def __init__(
        self, message: str, code: int = REFUSED, problem: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.problem = problem or {}

    def show(self, file: Any = None) -> None:
        """One line on standard error."""
        click.echo(f"gatebook: {self.message}", file=file or sys.stderr)


class Desk:
    """The options of this run and all that hangs on them."""

    def __init__(
        self, *, config: str, as_json: bool, quiet: bool, yes: bool, server: str | None
    ) -> None:
        self.config = config
        self.as_json = as_json
        self.quiet = quiet
        self.yes = yes
        self.server = server
        width = None if sys.stdout.isatty() else 10_000  # a pipe folds nothing
        self.console = Console(highlight=False, width=width)
        self.errors = Console(stderr=True, highlight=False)

    # --- ways in

    def settings(self) -> Settings:
        """The configuration. Raises ConfigurationError."""
        return Settings.load(self.config)

    @contextmanager
    def house(
        self, *, accept_shorter_log: bool = False, accept_newer: bool = False
    ) -> Iterator[House]:
        """The store, opened directly."""
        house = open_house(self.settings())
        try:
            house.prepare(accept_shorter_log=accept_shorter_log, accept_newer=accept_newer)
            yield house
        finally:
            house.close()

    @contextmanager
    def api(self) -> Iterator[Api]:
        """The REST API: a server's, or this process's own over the store."""
        if self.server is not None:
            headers = {"Authorization": f"Bearer {self.token()}"}
            server = self.checked_server()
            with remote(server, headers) as client:
                yield Api(client)
            return
        with self.house() as house, local_client(house, local_user(), _words()) as client:
            yield Api(client)

    def token(self) -> str:
        """The access token for `--server`: from the environment, else from `gatebook login`."""
        given = os.environ.get(TOKEN_VARIABLE)  # noqa: TID251 - where the contract puts it
        if given:
            return given.strip()
        try:
            saved = json.loads(session_file().read_text())
            if saved["server"] == self.server:
                return str(saved["access_token"])
        except (OSError, ValueError, KeyError):
            pass
        raise Failed(
            f"not signed in to {self.server}: set {TOKEN_VARIABLE}, or run: "
            f"gatebook --server {self.server} login"
        )

    def checked_server(self) -> str:
        """The server's URL, if a token may be sent there: https, or this machine."""
        if self.server is None:
            raise Failed("say --server URL", USAGE)
        url = httpx.URL(self.server)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise Failed(f"{self.server} is neither https nor on this machine", USAGE)
        return self.server

    def offline_only(self, verb: str) -> None:
        """Refuses `--server` for a verb that works on the store itself."""
        if self.server is not None:
            raise Failed(f"{verb} works on the store itself; leave out --server", USAGE)

    # --- ways out

    def say(self, line: str) -> None:
        """A line for people; nothing with --quiet or --json."""
        if not self.quiet and not self.as_json:
            self.console.print(line, markup=False, soft_wrap=True)

    def show(self, value: Any, rows: Sequence[tuple[str, Any]] | None = None) -> None:
        """One thing: JSON, or names and values."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, held in rows if rows is not None else value.items():
            if isinstance(held, dict) and held:
                for part, one in held.items():
                    table.add_row(f"{name}.{part}", cell(one))
            else:
                table.add_row(name, cell(held))
        self._print(table)

    def table(self, items: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """Many things: JSON, or a table of some columns."""
        if self.as_json:
            click.echo(json.dumps(list(items), indent=2, ensure_ascii=False))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for item in items:
            table.add_row(*(cell(dig(item, column)) for column in columns))
        self._print(table)
        if not items:
            self.say("(nothing)")

    def _print(self, table: Table) -> None:
        """On a terminal as it fits; into a pipe a line a row, with nothing behind it."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().splitlines():
            click.echo(line.rstrip())

    def confirm(self, question: str) -> None:
        """Asks on a terminal; elsewhere --yes must have been said."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Failed(f"{question} Say --yes to do it without being asked.", USAGE)
        click.confirm(question, abort=True)


class Api:
    """A client that turns problems into failures with the right exit code."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: Any) -> Any:
        """A resource."""
        return self.call("GET", path, query=query)

    def text(self, path: str) -> str:
        """A resource that is plain text."""
        return self.octets(path).decode()

    def octets(self, path: str) -> bytes:
        """A resource that is no JSON, as it is."""
        try:
            answer = self._client.get(path)
        except httpx.TransportError as error:
            raise _unreached(error) from error
        if answer.is_success:
            return answer.content
        raise _failure(answer)

    def call(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        """One request. Returns the JSON of the answer, or None when it has no body."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._client.request(method, path, json=body, params=given)
        except httpx.TransportError as error:
            raise _unreached(error) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _failure(answer)

    def items(self, path: str, /, most: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """All items of a list, page by page, at most `most`."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            size = 500 if most is None else min(500, most - len(found))
            page = self.get(path, limit=size, after=after, **query)
            found += page["items"]
            after = page["next"]
            if after is None or (most is not None and len(found) >= most):
                return found

    def account_id(self, named: str) -> str:
        """The id of an account given by id or username, as the server compares names."""
        if is_id(named):
            return named
        found = self.get("/v1/accounts", username=named)["items"]
        if len(found) != 1:
            raise Failed(f"there is no account {named!r}")
        return str(found[0]["id"])


def is_id(named: str) -> bool:
    """Whether it is an id, and no name."""
    return _ID.fullmatch(named) is not None


def check_id(given: str, thing: str, where: str) -> None:
    """Raises Failed for what is no id: a thing without a name of its own is known by its id."""
    if not is_id(given):
        raise Failed(f"say the {thing}'s id, as `{where}` shows it", USAGE)


def read_secret(
    prompt: str, *, from_stdin: bool, confirm: bool = False, option: str = "--password-stdin"
) -> str:
    """A secret from standard input or a prompt, never from an argument."""
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise Failed(f"standard input holds nothing; {option} reads its first line", USAGE)
        return line
    if not sys.stdin.isatty():
        raise Failed(f"there is no terminal to ask on; use {option}", USAGE)
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm)
    return answer


def _words() -> str:
    """The command's own words, without anything that was given to it."""
    context = click.get_current_context(silent=True)
    return context.command_path.partition(" ")[2] if context is not None else ""


def _unreached(error: httpx.TransportError) -> Failed:
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        said += "; SSL_CERT_FILE=FILE names a certificate to trust"
    return Failed(f"cannot reach the server: {said}", UNAVAILABLE)


def refused_file(error: OSError) -> Failed:
    """What an operator is told of a file that cannot be read or written here."""
    named = error.filename2 or error.filename
    return Failed(plain(f"{named}: {error.strerror}{denied(error)}"))


def _failure(answer: httpx.Response) -> Failed:
    problem: dict[str, Any] = {}
    try:
        problem = answer.json()
        detail = problem.get("detail") or problem.get("title") or ""
        for error in problem.get("errors", []):
            if error["detail"] != detail:
                detail += f" ({error['pointer']}: {error['detail']})"
    except ValueError:
        detail = answer.text[:200]
    detail = plain(detail)
    code = UNAVAILABLE if answer.status_code in (429, 503) else REFUSED
    return Failed(f"{detail or answer.reason_phrase} [{answer.status_code}]", code, problem)
