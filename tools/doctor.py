"""`gatebook doctor`: what is commonly wrong, each with its mend."""

from __future__ import annotations

import os
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
from gatebook.store.house import House, open_house
from gatebook.store.master_record import KeyringDamaged, WrongMasterKey
from gatebook.store.passwords import Password
from gatebook.store.settings import ConfigurationError, Settings, StoreAway
from gatebook.tools import doctor_evidence, doctor_providers, doctor_start
from gatebook.tools.desk import CONFIGURATION, UNAVAILABLE, Desk

Finding = dict[str, Any]

RECENT = 30 * 86_400 * 1_000_000
"""Microseconds."""

MANY = 10_000


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
    states = {one["state"] for one in findings}
    for state, code in (("cannot start", CONFIGURATION), ("unavailable", UNAVAILABLE)):
        if state in states:
            return code
    return 1 if "wrong" in states else 0


def _check(desk: Desk) -> Iterator[Finding]:
    try:
        settings = desk.settings()
    except ConfigurationError as error:
        is_there = Path(desk.config).exists()
        mend = "Mend that line." if is_there else "Say --config FILE, or run: gatebook init"
        yield _finding("configuration", "cannot start", str(error), mend)
        return
    yield _finding("configuration", "good", desk.config)
    for outcome in doctor_start.checked(Path(desk.config), settings):
        yield _finding(*outcome)
    try:
        house = open_house(settings)
    except ConfigurationError as error:
        state = "unavailable" if isinstance(error, StoreAway) else "cannot start"
        yield _finding("log and keyring", state, str(error), _way_back(error))
        return
    try:
        yield _log(house)
        yield from _read_models(house)
        for outcome in doctor_evidence.checked(house):
            yield _finding(*outcome)
        yield _administrators(house)
        yield from _signing(house)
        yield _hashing(house)
        yield _passkeys(settings)
        yield _break_glass(house)
        for outcome in doctor_providers.checked(house):
            yield _finding(*outcome)
    finally:
        house.close()


def _way_back(error: ConfigurationError) -> str:
    """What opens the store again."""
    match error:
        case StoreAway():
            return (
                "Start the database, make room, or mend the rights; [store] url says where it is."
            )
        case WrongMasterKey():
            return "Set [master_key] to what this store was made with; nothing was changed."
        case KeyringDamaged():
            return "Restore the keyring's backup."
        case _:
            return "RUNBOOK, When something is wrong"


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
            yield _finding(f"read model {one.name}", "wrong", one.error or found, _mend_of(one))


def _mend_of(one: engine.ProjectionStatus) -> str:
    """A rebuild would halt at the same event, and where a newer program is at work, end it."""
    if one.error_position is not None:
        resume = f"gatebook projection resume {one.name}"
        return f"Upgrade if a newer release wrote the event, else mend the cause; then: {resume}"
    if one.version > one.wanted:
        return "A newer release built it: run that one; to go back: RUNBOOK, Upgrade and downgrade"
    return f"gatebook projection rebuild {one.name}"


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
    line = " ".join(found.split())
    return {"check": check, "state": state, "found": line, "mend": mend or None}


COMMANDS = (doctor,)
