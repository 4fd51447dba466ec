"""Commands on accounts: create, change, disable, delete, restore, erase, set a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar
from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import administrators, denials, password, username
from gatebook.domain.account import Account, Profile
from gatebook.domain.application.core import ATTEMPTS, HOUR, By, Decision, Gatebook, Loaded
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import (
    Conflict,
    Forbidden,
    InvalidValue,
    NotFound,
    Refusal,
    SelfLockout,
    StaleVersion,
    StoreUnavailable,
)
from gatebook.domain.ports import Plaintext

T = TypeVar("T")

KINDS = ("human", "system")
MAX_DISPLAY_NAME = 200
MAX_EMAIL = 254
SERVICE_WORD = "gatebook"


class AccountView(msgspec.Struct, frozen=True):
    """An account as it is shown. Times in microseconds; `version` is its stream's."""

    id: UUID
    username: str | None
    kind: str
    status: str
    display_name: str | None
    email: str | None
    roles: list[str]
    created_at: int
    updated_at: int
    version: int


class LoadedAccount(msgspec.Struct, frozen=True):
    """An account's stream, with the times that its view shows."""

    loaded: Loaded[Account]
    created_at: int
    updated_at: int

    @property
    def state(self) -> Account:
        """The account's state."""
        return self.loaded.state

    def view(self, at: int) -> AccountView:
        """As it is shown at an instant."""
        return _view(self.loaded, self.created_at, self.updated_at, at)

    def after(self, events: list[accounts.Happening], now: int) -> AccountView:
        """As it will be shown once these events are recorded."""
        state = self.loaded.state
        for event in events:
            state = accounts.evolve(state, event)
        loaded = Loaded(self.loaded.stream_id, self.loaded.version + len(events), state)
        return _view(loaded, self.created_at or now, now if events else self.updated_at, now)


def _view(loaded: Loaded[Account], created_at: int, updated_at: int, at: int) -> AccountView:
    state = loaded.state
    profile = state.profile
    return AccountView(
        id=loaded.stream_id,
        username=profile.username if profile else None,
        kind=state.kind,
        status="deleted" if state.status == "erased" else state.status,
        display_name=profile.display_name if profile else None,
        email=profile.email if profile else None,
        roles=state.roles(at),
        created_at=created_at,
        updated_at=updated_at,
        version=loaded.version,
    )


class Changes(msgspec.Struct, frozen=True):
    """What a PATCH may change. None leaves as it is."""

    username: str | None = None
    display_name: str | None = None
    email: str | None = None
    status: Literal["active", "inactive"] | None = None


class Accounts:
    """The account commands."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    # --- reading

    def load(self, account_id: UUID, upto_position: int | None = None) -> LoadedAccount:
        """Folds an account, now or as it stood at a position."""
        state, version, created_at, updated_at = Account(), 0, 0, 0
        for recorded in self._app.event_log.stream(account_id, upto_position=upto_position):
            if recorded.event.STREAM != "account":
                break
            state = accounts.evolve(state, recorded.event)  # type: ignore[arg-type]  # by STREAM
            version, updated_at = recorded.version, recorded.metadata.at
            created_at = created_at or updated_at
        return LoadedAccount(Loaded(account_id, version, state), created_at, updated_at)

    def view(self, account_id: UUID, at: int, upto_position: int | None = None) -> AccountView:
        """The account as shown at an instant, folded as far as a position. Raises NotFound."""
        loaded = self.load(account_id, upto_position)
        if loaded.state.status == "absent":
            raise NotFound("There is no such account.")
        return loaded.view(at)

    # --- commands

    def create(
        self,
        by: By,
        name: str,
        kind: str,
        *,
        display_name: str = "",
        email: str = "",
        plaintext: Plaintext | None = None,
    ) -> AccountView:
        """Creates an account, with its name claimed and its password set, in one append."""
        account_id = self._app.ids.account()
        profile = self.profile(name, display_name, email)
        if kind not in KINDS:
            raise InvalidValue("type is human or system.", "/type")
        secret = self.secret(plaintext, profile)

        def decide(now: int) -> Decision[AccountView]:
            created = self.creation(account_id, kind, profile, secret)
            fresh = LoadedAccount(Loaded(account_id, 0, Account()), now, now)
            view = fresh.after([accounts.AccountCreated(kind=kind, profile=profile)], now)
            return Decision(view, created, subject=account_id)

        return self.run_creation(by, account_id, decide)

    def run_creation(
        self,
        by: By,
        account_id: UUID,
        decide: Callable[[int], Decision[T]],
        *,
        attempts: int = ATTEMPTS,
    ) -> T:
        """Runs a command that creates an account, and leaves no key behind when it is refused.

        When it is not known whether the append took place, the key stays: an account without its
        key could never be read. A crash before the append leaves a key that opens nothing.
        """
        try:
            return self._app.run(by, decide, attempts=attempts)
        except StoreUnavailable:
            raise
        except Refusal:
            self._app.keys.destroy_subject(account_id)
            raise

    def profile(self, name: str, display_name: str, email: str) -> Profile:
        """A checked profile. Raises InvalidValue."""
        self._app.names.enforce(name)
        _check_line(display_name, MAX_DISPLAY_NAME, "/display_name")
        _check_line(email, MAX_EMAIL, "/email")
        if email and (email.count("@") != 1 or email.startswith("@") or email.endswith("@")):
            raise InvalidValue("An e-mail address has one @ inside it.", "/email")
        return Profile(username=name, display_name=display_name, email=email)

    def secret(self, plaintext: Plaintext | None, profile: Profile) -> str | None:
        """Hashes a password in the light of whose it is."""
        if plaintext is None:
            return None
        return plaintext.hash([profile.username, profile.display_name, profile.email, SERVICE_WORD])

    def creation(
        self, account_id: UUID, kind: str, profile: Profile, phc: str | None
    ) -> list[Entry]:
        """All that a new account's append holds. Makes the key that seals it, once it may be."""
        claimed = self.load_name(profile.username)
        entries = Loaded(account_id, 0, Account()).entries(
            accounts.decide(accounts.Create(kind, profile), Account())
        )
        entries += claimed.entries(username.claim(account_id, claimed.state))
        self._app.keys.create_subject(account_id)
        if phc is not None:
            entries += Loaded(password.stream_id(account_id), 0, password.Password()).entries(
                [password.new(account_id, phc, "created")]
            )
        return entries

    def change(
        self, by: By, account_id: UUID, changes: Changes, *, if_match: int | None = None
    ) -> AccountView:
        """Changes profile and status together."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self.load_for_change(by, account_id, now, if_match)
            events: list[accounts.Happening] = []
            entries: list[Entry] = []
            if changes.status is not None:
                self._not_self(by, account_id, changes.status)
                events += accounts.decide(accounts.SetStatus(changes.status), loaded.state)
            profile = self._changed_profile(changes, loaded.state)
            if profile is not None:
                events += accounts.decide(accounts.ChangeProfile(profile), loaded.state)
                entries += self._rename(account_id, loaded.state, profile)
            view = loaded.after(events, now)
            entries += self.with_roster(loaded.loaded, events)
            return Decision(view, entries, subject=account_id)

        return self._app.run(by, decide)

    def set_status(
        self,
        by: By,
        account_id: UUID,
        to: Literal["active", "inactive", "deleted", "restored"],
        *,
        if_match: int | None = None,
    ) -> AccountView:
        """Switches on or off, deletes or restores."""

        def decide(now: int) -> Decision[AccountView]:
            loaded = self.load_for_change(by, account_id, now, if_match)
            self._not_self(by, account_id, to)
            events = accounts.decide(accounts.SetStatus(to), loaded.state)
            entries = self.with_roster(loaded.loaded, events)
            return Decision(loaded.after(events, now), entries, subject=account_id)

        return self._app.run(by, decide)

    def erase(self, by: By, account_id: UUID, confirm: str) -> None:
        """Records the erasure, then destroys the key. Cannot be undone.

        A crash between the two leaves an erased account whose key still exists; the follower
        destroys the key of every erased account it meets.
        """

        def decide(now: int) -> Decision[None]:
            loaded = self.load_for_change(by, account_id, now, None)
            self._not_self(by, account_id, "erased")
            profile = loaded.state.profile
            if profile is not None and confirm != profile.username:
                raise InvalidValue("confirm must be the account's username.", "/confirm")
            events = accounts.decide(accounts.SetStatus("erased"), loaded.state)
            return Decision(None, self.with_roster(loaded.loaded, events))

        self._app.run(by, decide)
        self._app.keys.destroy_subject(account_id)

    # --- parts that other families use

    def load_name(self, name: str) -> Loaded[username.Username]:
        """The stream of a username. Raises InvalidValue for what cannot be one."""
        stream_id = self._app.names.stream_id(self._app.names.enforce(name))
        return self._app.load(stream_id, username.Username(), username.evolve)

    def load_for_change(
        self, by: By, account_id: UUID, now: int, if_match: int | None, *, own: bool = False
    ) -> LoadedAccount:
        """Loads an account somebody wants to change.

        Raises NotFound, StaleVersion, or Forbidden when the account may do what he may not:
        otherwise setting an administrator's password would make anybody an administrator. His own
        account may do more than he if his token or key is narrowed, or roles are held back for want
        of a second factor: he must not give himself a password or a broader token. `own`: on his
        own account the command gives him nothing, or sees to that by itself.
        """
        loaded = self.load(account_id)
        if loaded.state.status == "absent":
            raise NotFound("There is no such account.")
        if if_match is not None and if_match != loaded.loaded.version:
            raise StaleVersion(if_match, loaded.loaded.version)
        if account_id == by.account_id:
            live = None if own else self._app.access.account(account_id, now)
            reach = live.permissions if live is not None else frozenset()
        else:
            given = map(self._app.access.permissions_of, loaded.state.roles(now))
            reach = frozenset[str]().union(*(one for one in given if one is not None))
        if reach - by.permissions:
            lacking = min(reach - by.permissions)
            raise Forbidden(
                lacking, f"The account holds {lacking}, which you do not hold yourself."
            )
        return loaded

    def with_roster(self, loaded: Loaded[Account], events: list[accounts.Happening]) -> list[Entry]:
        """The account's events, and the roster's if they make or unmake an administrator."""
        state = loaded.state
        for event in events:
            state = accounts.evolve(state, event)
        entries = loaded.entries(events)
        if administrators.belongs(state) == administrators.belongs(loaded.state):
            return entries
        roster = self._app.load(
            administrators.STREAM_ID, administrators.Roster(), administrators.evolve
        )
        return entries + roster.entries(
            administrators.decide(loaded.stream_id, state, roster.state)
        )

    def end_all(self, account_id: UUID, now: int) -> list[Entry]:
        """Ends whatever was issued for an account; nothing when nothing lives."""
        if not self._app.access.anything_lives(account_id, now):
            return []
        loaded = self.load(account_id).loaded
        return loaded.entries(accounts.decide(accounts.RevokeTokens(), loaded.state))

    def denied(self, by: By, refusal: Forbidden, action: str, target: str, now: int) -> None:
        """Records that somebody reached beyond his permissions, then raises the refusal."""
        if by.account_id is not None:
            stream_id = denials.stream_id(by.account_id, now // HOUR)
            if self._app.tail(stream_id, 1, None, lambda s, _e: s).version < denials.MAX_AN_HOUR:
                event = denials.AccessDenied(
                    account_id=by.account_id,
                    permission=refusal.permission,
                    action=action,
                    target=target,
                )
                self._app.record_one(event, stream_id, by, now)
        raise refusal

    # --- details

    def _changed_profile(self, changes: Changes, state: Account) -> Profile | None:
        if state.profile is None:
            if (changes.username, changes.display_name, changes.email) == (None, None, None):
                return None
            raise Conflict("The account is erased; it has no profile any more.")
        before = state.profile
        wanted = Profile(
            username=before.username if changes.username is None else changes.username,
            display_name=(
                before.display_name if changes.display_name is None else changes.display_name
            ),
            email=before.email if changes.email is None else changes.email,
        )
        if wanted == before:
            return None
        return self.profile(wanted.username, wanted.display_name, wanted.email)

    def _rename(self, account_id: UUID, state: Account, profile: Profile) -> list[Entry]:
        before = state.profile
        if before is None or before.username == profile.username:
            return []
        old, new = self.load_name(before.username), self.load_name(profile.username)
        if old.stream_id == new.stream_id:
            return []  # another spelling of the same name
        return new.entries(username.claim(account_id, new.state)) + old.entries(
            username.release(account_id, old.state)
        )

    def _not_self(self, by: By, account_id: UUID, to: str) -> None:
        if by.account_id == account_id and to in ("inactive", "deleted", "erased"):
            raise SelfLockout("You cannot shut yourself out. Let another administrator do it.")


def _check_line(value: str, limit: int, pointer: str) -> None:
    if len(value) > limit:
        raise InvalidValue(f"At most {limit} characters.", pointer)
    if any(not character.isprintable() for character in value):
        raise InvalidValue("Control characters and line breaks are not allowed.", pointer)
