"""API keys: made, rotated, revoked. The key itself leaves through the answer and nowhere else."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import api_key
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.families import SECOND
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from gatebook.domain.permissions import CATALOGUE

MOST = 100
"""Keys of one account that count at a time. Creations that race may pass it by their number."""

MAX_NAME = 100
MAX_OVERLAP = 7 * 86_400 * SECOND


class MintedKey(msgspec.Struct, frozen=True):
    """A key, shown once. Times in microseconds."""

    id: UUID
    key: str
    account_id: UUID
    name: str
    scope: str
    created_at: int
    expires_at: int | None
    replaces: UUID | None


class ApiKeys:
    """The API key commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts) -> None:
        self._app = app
        self._accounts = accounts_

    def create(
        self,
        by: By,
        account_id: UUID,
        *,
        name: str = "",
        scope: str = "",
        expires_at: int | None = None,
    ) -> MintedKey:
        """Makes a key for an active account.

        Raises InvalidValue, NotFound, Conflict for an account that is not active or has too many
        keys, Forbidden for a key that could do more than its maker.
        """
        _check_name(name)
        scope = checked_scope(scope)

        def decide(now: int) -> Decision[MintedKey]:
            loaded = self._accounts.load_for_change(by, account_id, now, None, own=True)
            if loaded.state.status != "active":
                raise Conflict(f"The account is {loaded.state.status}.")
            if expires_at is not None and expires_at <= now:
                raise InvalidValue("expires_at has passed.", "/expires_at")
            if self._app.access.live_api_keys(account_id, now) >= MOST:
                raise Conflict(f"An account has at most {MOST} API keys. Revoke one first.")
            self._within(by, account_id, scope, now)
            minted, entries = self._mint(account_id, name, scope, expires_at, now)
            expected = {account_id: loaded.loaded.version}
            return Decision(minted, entries, subject=account_id, expected=expected)

        return self._app.run(by, decide)

    def rotate(self, by: By, account_id: UUID, key_id: UUID, *, overlap: int = 0) -> MintedKey:
        """Makes a key of the same name and scope; the old one ends after `overlap` microseconds.

        The new one ends when the old one was to end. Raises NotFound, InvalidValue, Conflict,
        Forbidden.
        """
        if not 0 <= overlap <= MAX_OVERLAP:
            raise InvalidValue(f"overlap is 0 to {MAX_OVERLAP // SECOND} seconds.", "/overlap")

        def decide(now: int) -> Decision[MintedKey]:
            account = self._accounts.load_for_change(by, account_id, now, None, own=True)
            if account.state.status != "active":
                raise Conflict(f"The account is {account.state.status}.")
            loaded = self._load(account_id, key_id)
            old = loaded.state
            self._within(by, account_id, old.scope, now)
            minted, entries = self._mint(
                account_id, old.name, old.scope, old.expires_at, now, replaces=key_id
            )
            entries += loaded.entries(api_key.rotate(minted.id, now + overlap, now, old))
            expected = {account_id: account.loaded.version}
            return Decision(minted, entries, subject=account_id, expected=expected)

        return self._app.run(by, decide)

    def revoke(self, by: By, account_id: UUID, key_id: UUID) -> None:
        """Ends a key at once. Again is not an error. Raises NotFound, Forbidden."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None, own=True)
            return Decision(None, self.revoked(account_id, key_id))

        self._app.run(by, decide)

    def revoked(self, account_id: UUID, key_id: UUID) -> list[Entry]:
        """The entries that end a key of an account. Raises NotFound."""
        loaded = self._load(account_id, key_id)
        return loaded.entries(api_key.revoke(loaded.state))

    def _load(self, account_id: UUID, key_id: UUID) -> Loaded[api_key.ApiKey]:
        loaded = self._app.load(key_id, api_key.ApiKey(), api_key.evolve, of="api-key")
        if loaded.state.account_id != account_id:
            raise NotFound("The account has no such API key.")
        return loaded

    def _mint(
        self,
        account_id: UUID,
        name: str,
        scope: str,
        expires_at: int | None,
        now: int,
        *,
        replaces: UUID | None = None,
    ) -> tuple[MintedKey, list[Entry]]:
        key_id = self._app.ids.ordered()
        key = api_key.text(key_id, self._app.ids.secret(api_key.SECRET_BYTES))
        parsed = api_key.parse(key)
        assert parsed is not None  # it was just written in this form
        order = api_key.Order(account_id, parsed[1], name, scope, expires_at, replaces)
        entries = Loaded(key_id, 0, api_key.ApiKey()).entries(api_key.create(order))
        minted = MintedKey(key_id, key, account_id, name, scope, now, expires_at, replaces)
        return minted, entries

    def _within(self, by: By, account_id: UUID, scope: str, now: int) -> None:
        """Raises Forbidden for a key that could do more than its maker, on his own account too.

        Somebody who came with a narrowed token or key would otherwise mint himself a broad one.
        """
        if by.presented is None:
            return
        maker = self._app.access.caller(*by.presented, now)
        wanted = frozenset(scope.split())
        if maker is not None and maker.scope:
            beyond = (wanted or frozenset(CATALOGUE)) - frozenset(maker.scope.split())
        else:
            live = self._app.access.account(account_id, now)
            reach = live.permissions if live is not None else frozenset()
            beyond = (reach & wanted if wanted else reach) - by.permissions
        if beyond:
            lacking = min(beyond)
            raise Forbidden(lacking, f"The key could use {lacking}, which you cannot.")


def checked_scope(scope: str) -> str:
    """A scope whose names are all permissions, each once, sorted. Raises InvalidValue."""
    names = scope.split(" ") if scope else []
    for name in names:
        if name not in CATALOGUE:
            raise InvalidValue(f"There is no permission {name[:64]!r}.", "/scope")
    return " ".join(sorted(set(names)))


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise InvalidValue(f"At most {MAX_NAME} characters.", "/name")
    if any(not character.isprintable() for character in name):
        raise InvalidValue("Control characters and line breaks are not allowed.", "/name")
