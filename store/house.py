"""The house: all that one configuration opened, wired together. One a process."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from typing import Final, NoReturn

from eventsourcing.persistence import PersistenceError

from gatebook.domain.application.core import By, Gatebook
from gatebook.domain.envelope import SYSTEM, Recorded, Source
from gatebook.domain.permissions import ALL
from gatebook.domain.ports import Claims, Plaintext
from gatebook.projections import checked, tree_tables
from gatebook.projections.access_view import AccessView
from gatebook.projections.engine import ensure
from gatebook.projections.errors import LogShorter, ReadModelNewer
from gatebook.projections.federation import FederationView
from gatebook.projections.inline import Inline
from gatebook.projections.opened import Opened
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.activity import Activity
from gatebook.store.checkpoint_key import announce, checkpoint_key
from gatebook.store.client_assertion import ClientAssertions
from gatebook.store.commands import Commands, configuration
from gatebook.store.cursors import Cursors
from gatebook.store.dpop import DpopVerifier
from gatebook.store.faults import StoreRefused
from gatebook.store.hash_gate import HashGate
from gatebook.store.keyring import Keyring
from gatebook.store.keyring_table import KeyTable
from gatebook.store.log import Log
from gatebook.store.mapper import EventMapper
from gatebook.store.master_key import (
    open_master_key,
    read_private_file,
)
from gatebook.store.names import PrecisNames
from gatebook.store.oidc import Relying
from gatebook.store.opening import check_log_exists, open_keys, open_log, refusal
from gatebook.store.outbound import Outbound
from gatebook.store.passwords import Argon2, Blocklist, Password
from gatebook.store.pre_login import PreLogins
from gatebook.store.process import keep_to_itself
from gatebook.store.readings import Readings
from gatebook.store.recorder import LogFactory
from gatebook.store.refused import RefusedTable
from gatebook.store.reservations import Reservations
from gatebook.store.seen import SeenFile, SeenTable
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.store.signing import JwsSigner, PublicKey, Verifier
from gatebook.store.system import SystemClock, SystemIds
from gatebook.store.throttle import Throttle, buckets_of

FORGET_FOR: Final = 75.0
"""Seconds after an erasure in which nothing personal is remembered from one second to the next.

The key goes after the event, within a minute even if that process died between the two: until
then what was forgotten could be opened once more.
"""


def _silent(_name: str, _done: int, _total: int) -> None:
    pass


class House(Commands):
    """Everything open. Make it with `open_house`, after any fork, and close it."""

    def __init__(self, settings: Settings, table: KeyTable) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.key_table = table
        self.masters = open_master_key(settings, table, self.clock.now())
        self.keyring = Keyring(table, self.masters, self.clock.now)
        self.mapper = EventMapper(self.keyring)
        self.store: Log = open_log(
            settings.store_url,
            decode=self.mapper.decode,
            now=self.clock.now,
            inline=Inline(PROJECTIONS),
        )
        self.opened = Opened(self.store)
        self.access = AccessView(
            self.store, frozenset(settings.sessions.mfa_required_for), self.opened
        )
        self.names = PrecisNames(self.keyring)
        self.cursors = Cursors(self.keyring)
        self.refused = RefusedTable(self.store)
        self.activity = Activity(self.store)
        self.seen = SeenTable(self.store)
        self.federations = FederationView(self.store)
        self.outbound = Outbound(settings.outbound, most=max(1, settings.worker_threads // 2))
        self.relying = Relying(self.outbound, self.clock)
        self.pre_logins = PreLogins(self.keyring, self.clock, self.ids)
        self.guesses = Reservations(self.store, self.clock, self.ids, settings.sign_in_queue)
        self._erasures: int | None = None
        self._forget_until = 0.0
        self._wire_checks()
        self._wire_commands()
        self.masters.watch(self.notice_erasures)

    def _wire_checks(self) -> None:
        settings = self.settings
        self._blocklist = _blocklist(settings)
        cores = os.cpu_count() or 1
        self.gate = HashGate(settings.path("slots"), cores, settings.hash_queue)
        self.argon2 = Argon2(settings.passwords, self.gate, self._blocklist)
        self.throttle = Throttle(
            settings.path("slots") / "throttle.db",
            buckets_of(settings.limits),
            self.keyring.derive,
            self.clock.now,
        )
        self.verifier = Verifier(
            find_key=self._find_key,
            now=self.clock.now,
            issuer=settings.issuer,
            skew=settings.tokens.clock_skew,
        )
        self._proofs = SeenFile(settings.path("slots") / "seen.db")
        self.dpop = DpopVerifier(now=self.clock.now, first=self._proofs.first)
        self.client_assertions = ClientAssertions(
            now=self.clock.now,
            first=self.seen.first,
            issuer=settings.issuer,
            skew=settings.tokens.clock_skew,
        )

    def _wire_commands(self) -> None:
        app = Gatebook(
            factory=LogFactory(self.store, self.mapper),
            configuration=configuration(self.settings),
            clock=self.clock,
            ids=self.ids,
            names=self.names,
            keys=self.keyring,
            signer=JwsSigner(self.keyring),
            log=self.store,
            envelopes=self.mapper,
            access=self.access,
            refusals=self.refused,
            guesses=self.guesses,
        )
        Commands.__init__(self, app, self.settings, self.federations)
        self.readings = Readings(self.settings.path("slots") / "readings.db", app)

    def prepare(
        self,
        progress: Callable[[str, int, int], None] = _silent,
        *,
        accept_shorter_log: bool = False,
        accept_newer: bool = False,
    ) -> None:
        """Makes the store ready to serve: read models level, first events recorded. Idempotent.

        `progress` is told (read model, done, total) while one is built. Raises ConfigurationError
        when read models have seen more than the log holds, or a newer program built them, unless
        that is accepted.
        """
        try:
            ensure(
                self.store,
                PROJECTIONS,
                self.clock,
                progress,
                accept_shorter_log=accept_shorter_log,
                accept_newer=accept_newer,
            )
        except (LogShorter, ReadModelNewer) as error:
            raise ConfigurationError(str(error)) from error
        self.refused.create()
        self.activity.create()
        self.seen.create()
        self.guesses.create()
        with self.store.writing(exclusive=True) as tx:
            tree_tables.create(tx)
            checked.create(tx)
        # From here on every erasure is noticed, one by this very process at once too.
        self._erasures = self.access.erasures()
        self.bootstrap.prepare(system())
        key = checkpoint_key(self.keyring).verifier
        announce(self.app, self.store, key, system(), self.clock.now())
        self.check()

    def check(self) -> None:
        """What can be wrong with settings though they open everything. Raises ConfigurationError.

        A mistyped role would need no second factor, in silence.
        """
        known = {role.name for role in self.access.roles()}
        unknown = [n for n in self.settings.sessions.mfa_required_for if n not in known]
        if unknown:
            raise ConfigurationError(
                f"[sessions] mfa_required_for names roles that do not exist: {', '.join(unknown)}"
            )

    def close(self) -> None:
        """Writes what is waiting and closes everything. Twice is harmless."""
        self.masters.close()
        self.app.close()
        self.store.close()
        self.key_table.close()
        self._blocklist.close()
        self.throttle.close()
        self._proofs.close()
        self.readings.close()

    def plaintext(self, password: str, pointer: str = "/password") -> Plaintext:
        """A password on its way through. Raises InvalidValue for what is not text."""
        return Password(password, self.argon2, pointer)

    def verify(self, token: str) -> Claims:
        """The claims of an access token of ours. Raises InvalidToken."""
        return self.verifier.verify(token)

    def notice_erasures(self) -> None:
        """Forgets cached keys if somebody was erased, on whatever process, since last asked.

        Asked before personal data is opened to be shown, and every second besides: what was erased
        is gone from the memory of every process.
        """
        erasures = self.access.erasures()
        before, self._erasures = self._erasures, erasures
        if before is not None and erasures != before:
            self._forget_until = time.monotonic() + FORGET_FOR
        if time.monotonic() < self._forget_until:
            self.keyring.forget_subjects()
            self.opened.forget()

    def source_of(self, recorded: Recorded) -> Source | None:
        """Where a recorded request came from; None when there was none, or it is erased."""
        envelope = recorded.metadata
        if not envelope.source:
            return None
        return self.keyring.open_source(
            envelope.source_subject, envelope.source, envelope.request_id
        )

    def bootstrap_token_matches(self, presented: str) -> bool:
        """Whether it is the one-time token of `[bootstrap] token_file`."""
        name = self.settings.bootstrap.token_file
        if not name or not presented:
            return False
        try:
            expected = read_private_file(self.settings.path(name), "bootstrap token").strip()
        except ConfigurationError:
            return False
        return bool(expected) and hmac.compare_digest(expected, presented.encode())

    def _find_key(self, kid: str) -> PublicKey | None:
        published = self.access.keys()
        found = [key for key in published if key.kid == kid]
        return PublicKey(found[0].algorithm, found[0].public_jwk) if found else None


def open_house(settings: Settings, *, create: bool = False) -> House:
    """Opens keyring and log, both or neither. `create` makes what is missing.

    Raises ConfigurationError with one line that names the cause and the mend; StoreAway when it may
    go by itself.
    """
    keep_to_itself()
    table: KeyTable | None = None
    try:
        if create:
            # The log and its keyring come to be together; the log is opened for good below.
            open_log(settings.store_url, decode=_unread, now=SystemClock().now, create=True).close()
        check_log_exists(settings.store_url)
        table = open_keys(settings.store_url)
        return House(settings, table)
    except (StoreRefused, PersistenceError, OSError) as error:
        if table is not None:
            table.close()
        raise refusal(error) from error
    except ConfigurationError:
        if table is not None:
            table.close()
        raise


def system() -> By:
    """Gatebook itself: what it does at its own start or by its own clock."""
    return By(actor=SYSTEM, permissions=ALL)


def _blocklist(settings: Settings) -> Blocklist:
    name = settings.passwords.blocklist_file
    try:
        return Blocklist(settings.path(name) if name else None)
    except OSError as error:
        raise ConfigurationError(f"[passwords] blocklist_file {name}: {error.strerror}") from error


def _unread(*_row: object, **_how: object) -> NoReturn:
    raise TypeError("a store that is being made has no events to read")
