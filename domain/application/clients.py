"""OAuth 2 clients: configured, removed. A client is a system account; its secrets are API keys."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from gatebook.domain import client
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.tokens import SCOPE
from gatebook.domain.client import Client
from gatebook.domain.errors import Conflict, InvalidValue, StaleVersion


class Configured(NamedTuple):
    """What holds for a client, and the version of its stream."""

    client: Client
    version: int


class Clients:
    """The client commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts) -> None:
        self._app = app
        self._accounts = accounts_

    def load(self, account_id: UUID) -> Loaded[Client]:
        """What is configured for a client."""
        stream_id = client.stream_id(account_id)
        return self._app.tail(stream_id, client.TAIL, Client(), client.evolve)

    def configure(
        self, by: By, account_id: UUID, wanted: Client, *, if_match: int | None = None
    ) -> Configured:
        """Configures a client. The public keys in it were checked before.

        Raises InvalidValue, NotFound, Conflict for an account that is no system account,
        StaleVersion, Forbidden.
        """
        _check(wanted)
        wanted = msgspec.structs.replace(wanted, configured=True)

        def decide(now: int) -> Decision[Configured]:
            account = self._accounts.load_for_change(by, account_id, now, None)
            if account.state.kind != "system":
                raise Conflict("Clients are system accounts; people sign in.")
            loaded = self._fresh(account_id, if_match)
            events = client.configure(account_id, wanted, loaded.state)
            shown = Configured(wanted, loaded.version + len(events))
            expected = {account_id: account.loaded.version}
            return Decision(shown, loaded.entries(events), expected=expected)

        return self._app.run(by, decide)

    def remove(self, by: By, account_id: UUID, *, if_match: int | None = None) -> None:
        """Goes back to what holds for an account without configuration."""

        def decide(now: int) -> Decision[None]:
            account = self._accounts.load_for_change(by, account_id, now, None)
            loaded = self._fresh(account_id, if_match)
            events = client.remove(account_id, loaded.state)
            expected = {account_id: account.loaded.version}
            return Decision(None, loaded.entries(events), expected=expected)

        self._app.run(by, decide)

    def _fresh(self, account_id: UUID, if_match: int | None) -> Loaded[Client]:
        loaded = self.load(account_id)
        if if_match is not None and if_match != loaded.version:
            raise StaleVersion(if_match, loaded.version)
        return loaded


def _check(wanted: Client) -> None:
    for scope in wanted.scopes:
        if SCOPE.fullmatch(scope) is None or " " in scope:
            raise InvalidValue(f"{scope[:64]!r} is no scope.", "/scopes")
    for resource in wanted.resources:
        if not is_resource(resource):
            raise InvalidValue(
                f"{resource[:64]!r} is no absolute URI without a fragment.", "/resources"
            )


def is_resource(text: str) -> bool:
    """Whether it is an absolute URI without a fragment (RFC 8707, section 2)."""
    if not text.isascii() or not text.isprintable() or "#" in text or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path)
