"""`gatebook doctor`: what is commonly wrong, each with its mend."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gatebook.domain import administrators
from gatebook.projections import engine
from gatebook.projections.audit import AuditFilter, AuditView
from gatebook.projections.checked import checked
from gatebook.projections.registry import PROJECTIONS
from gatebook.store import tls
from gatebook.store.house import House, open_house
from gatebook.store.passwords import Password
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.tools import doctor_evidence, doctor_providers
from gatebook.tools.desk import CONFIGURATION, Desk

Finding = dict[str, Any]

RECENT = 30 * 86_400 * 1_000_000
"""Microseconds."""

MANY = 10_000

ENDING_DAYS = 14


@click.command()
@click.pass_obj
def doctor(desk: Desk) -> int:
    """Check what is commonly wrong, with mends. `projection verify` checks contents."""
    desk.offline_only("doctor")
    findings = list(_check(desk))
    if desk.as_json:
        desk.show(findings)
    else:
        desk.table(findings, ("check", "state", "found", "mend"))
    if any(one["state"] == "cannot start" for one in findings):
        return CONFIGURATION
    return 1 if any(one["state"] == "wrong" for one in findings) else 0


def _check(desk: Desk) -> Iterator[Finding]:
    try:
        settings = desk.settings()
    except ConfigurationError as error:
        yield _finding("configuration", "cannot start", str(error), "Mend that line.")
        return
    yield _finding("configuration", "good", desk.config)
    yield from _files(Path(desk.config), settings)
    try:
        house = open_house(settings)
    except ConfigurationError as error:
        yield _finding("log and keyring", "cannot start", str(error), "See the message.")
        return
    try:
        yield _log(house)
        yield from _read_models(house)
        for outcome in doctor_evidence.checked(house):
            yield _finding(*outcome)
        yield _administrators(house)
        yield from _signing(house)
        yield _hashing(house)
        yield from _certificate(house)
        yield _passkeys(settings)
        yield _break_glass(house)
        for outcome in doctor_providers.checked(house):
            yield _finding(*outcome)
    finally:
        house.close()


def _files(config: Path, settings: Settings) -> Iterator[Finding]:
    # Others may read the configuration unless a password stands in it; nobody may write it.
    yield _file(config, 0o077 if "@" in settings.store.url else 0o022)
    source = settings.master_key
    named = (source.key_file, source.passphrase_file, settings.server.tls_key)
    private = [settings.path(name) for name in named if name]
    if settings.store_url.startswith("sqlite:///"):
        database = Path(settings.store_url.removeprefix("sqlite:///"))
        private += [database, database.with_suffix(".keys.db")]
    for path in private:
        yield _file(path, 0o077)


def _file(path: Path, forbidden: int) -> Finding:
    try:
        found = path.stat()
    except OSError as error:
        return _finding(str(path), "wrong", str(error.strerror), "Restore it from its backup.")
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        return _finding(str(path), "wrong", f"mode {mode:04o}", f"chmod 600 {path}")
    if found.st_uid != os.geteuid():
        return _finding(
            str(path),
            "wrong",
            f"belongs to user {found.st_uid}, this is user {os.geteuid()}",
            f"chown {os.geteuid()} {path}, or run as its owner",
        )
    return _finding(str(path), "good", f"mode {mode:04o}")


def _log(house: House) -> Finding:
    """Gaps only. Whether a row was altered `audit verify` says."""
    found = house.store.query("SELECT count(*), coalesce(max(position), 0) FROM log")
    count, last = (int(str(value)) for value in found[0])
    if count != last:
        mend = "Restore the log's backup: events are missing from its middle."
        return _finding("log and keyring", "wrong", f"{count} events up to position {last}", mend)
    return _finding("log and keyring", "good", f"{count} events, without a gap")


def _read_models(house: House) -> Iterator[Finding]:
    looked = checked(house.store)
    for one in engine.status(house.store, PROJECTIONS):
        found = f"position {one.position} of {one.head}"
        drifted = looked[one.name].drifted if one.name in looked else 0
        if one.lag < 0:
            mend = "The log was cut or an older copy restored; see RUNBOOK before any rebuild."
            yield _finding(f"read model {one.name}", "wrong", f"ahead of the log: {found}", mend)
        elif drifted:
            mend = f"gatebook projection verify {one.name}, then: projection rebuild {one.name}"
            told = f"{drifted} rows are not what the log says"
            yield _finding(f"read model {one.name}", "wrong", told, mend)
        elif one.ready:
            yield _finding(f"read model {one.name}", "good", found)
        else:
            mend = f"gatebook projection rebuild {one.name}"
            yield _finding(f"read model {one.name}", "wrong", one.error or found, mend)


def _administrators(house: House) -> Finding:
    roster = house.app.load(
        administrators.STREAM_ID, administrators.Roster(), administrators.evolve
    )
    if roster.state.members:
        return _finding("administrators", "good", str(len(roster.state.members)))
    mend = "gatebook account create --username NAME --admin"
    return _finding("administrators", "wrong", "nobody holds admin", mend)


def _signing(house: House) -> Iterator[Finding]:
    keys = house.keys.all(house.clock.now())
    active = [key for key in keys if key.status == "active"]
    if not active:
        yield _finding("signing key", "wrong", "none signs", "gatebook key rotate-signing")
        return
    try:
        house.keyring.signing_key(active[0].kid)
    except KeyError:
        mend = "Restore the keyring, or: gatebook key rotate-signing --lead 0"
        yield _finding("signing key", "wrong", "its private half is gone", mend)
    else:
        yield _finding("signing key", "good", f"{active[0].algorithm} {active[0].kid[:12]}")


def _certificate(house: House) -> Iterator[Finding]:
    """The pair, if the listener has one; the server looks at it when it starts or reloads."""
    try:
        found = tls.load(house.settings)
    except ConfigurationError as error:
        yield _finding("certificate", "cannot start", str(error), "RUNBOOK, TLS")
        return
    if found is not None:
        days = found.days_left(house.clock.now())
        state, mend = ("good", "") if days >= ENDING_DAYS else ("wrong", "Replace both files.")
        yield _finding("certificate", state, f"{days:.0f} days left", mend)


def _passkeys(settings: Settings) -> Finding:
    """Without a name there are no passkeys, which is no fault of a deployment that has none."""
    if settings.rp_id:
        return _finding("passkeys", "good", f"bound to {settings.rp_id}")
    mend = "Set [server] public_url, or [webauthn] rp_id, to a host name."
    return _finding("passkeys", "off", "an IP address is no relying party", mend)


def _break_glass(house: House) -> Finding:
    """No fault while it is on, but nobody should forget that it is, or was used."""
    now = house.clock.now()
    wanted = AuditFilter(type="breakglass.login_succeeded", since=now - RECENT)
    uses = len(AuditView(house.store).query(wanted, limit=MANY))
    used = f"uses in 30 days: {uses}" if uses else "not used in 30 days"
    mend = "gatebook breakglass status" if uses else ""
    if not house.settings.breakglass.enabled:
        return _finding("break-glass", "good", f"off, {used}", mend)
    count = len(house.access.break_glass(now))
    found = f"on, credentials: {count}, {used}"
    return _finding("break-glass", "on", found, mend or "Switch it off after the emergency.")


def _hashing(house: House) -> Finding:
    """What one hash costs here, and how many sign-ins a second that allows."""
    password = Password("how long does one hash take", house.argon2)
    began = time.perf_counter()
    password.rehash()
    seconds = time.perf_counter() - began
    cores = os.cpu_count() or 1
    found = f"{seconds * 1000:.0f} ms a hash, at most {cores / seconds:.1f} sign-ins a second"
    return _finding("password hashing", "good", found)


def _finding(check: str, state: str, found: str, mend: str = "") -> Finding:
    return {"check": check, "state": state, "found": found, "mend": mend or None}


COMMANDS = (doctor,)
