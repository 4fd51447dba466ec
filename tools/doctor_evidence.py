"""What `doctor` says of whatever proves or brings back the log: its tree, witnesses, copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gatebook.domain import custody
from gatebook.domain.application.core import DAY
from gatebook.domain.envelope import Recorded
from gatebook.projections import tree_tables
from gatebook.store import structure
from gatebook.store.house import House

Outcome = tuple[str, str, str, str]
"""Check, state, what was found, and the mend."""

OLD: Final = 7
"""Days after which a backup is called old."""

LAG: Final = 1_000
"""Events without a signed head that are more than a follower leaves behind itself."""


def checked(house: House) -> Iterator[Outcome]:
    """Looks at the log's guards, the signing, the witnesses, the newest backup and the escrow."""
    yield _guards(house)
    yield _tree(house)
    yield from _witnesses(house)
    happened = house.store.stream(custody.STREAM_ID)
    yield _backup(house, happened)
    yield _escrow(house, happened)


def _guards(house: House) -> Outcome:
    with house.store.reading() as reader:
        found = [one.message for one in structure.guards(reader)]
    if not found:
        return "append-only log", "good", "its triggers are those that Gatebook made", ""
    mend = "Somebody was in the database: gatebook audit verify, then RUNBOOK."
    return "append-only log", "wrong", "; ".join(found), mend


def _tree(house: House) -> Outcome:
    state = tree_tables.state(house.store)
    lag = house.store.head() - state.size
    if state.halted is not None:
        mend = "RUNBOOK, Checkpoints and witnesses"
        return "signed heads", "wrong", f"nothing is signed: {state.halted}", mend
    head = tree_tables.newest_head(house.store)
    found = "none yet" if head is None else f"the newest is of {head.size} events, {lag} are newer"
    if lag > LAG:
        return "signed heads", "wrong", found, "Does a follower run? Start the server."
    return "signed heads", "good", found, ""


def _witnesses(house: House) -> Iterator[Outcome]:
    configured = house.settings.audit.witness_files
    if not configured:
        mend = "Name a file on another machine in [audit] witness_files."
        yield "witnesses", "none", "nothing elsewhere shows that the log was rolled back", mend
        return
    known = {row.name: row for row in tree_tables.witnesses(house.store)}
    for name in configured:
        row = known.get(name)
        if row is None:
            yield f"witness {name}", "good", "not written yet", ""
        elif row.trouble is not None:
            mend = "RUNBOOK, Checkpoints and witnesses"
            yield f"witness {name}", "wrong", row.trouble, mend
        else:
            yield f"witness {name}", "good", f"has the head of {row.size} events", ""


def _backup(house: House, happened: Sequence[Recorded]) -> Outcome:
    mend = "gatebook store backup FILE --keyring FILE, every night"
    newest = None
    for recorded in happened:
        if isinstance(recorded.event, custody.StoreBackedUp) and recorded.event.size:
            newest = recorded
    if newest is None or not isinstance(newest.event, custody.StoreBackedUp):
        return "newest backup", "none", "the log was never backed up", mend
    days = max(0, house.clock.now() - newest.recorded_at) // DAY
    missed = house.store.head() - newest.event.head
    found = f"{days} days old, {missed} events are newer"
    if not newest.event.has_keyring:
        found += "; the keyring was not copied with it"
    return "newest backup", *(("old", found, mend) if days >= OLD else ("good", found, ""))


def _escrow(house: House, happened: Sequence[Recorded]) -> Outcome:
    mend = "gatebook key escrow --shares 5 --threshold 3 --out DIR"
    events = [recorded.event for recorded in happened]
    made = [one for one in events if isinstance(one, custody.MasterKeyEscrowed)]
    if not made:
        return "escrow", "none", "if the master key is lost, so is the keyring", mend
    newest = made[-1]
    if newest.key_id != house.masters.id.hex():
        found = "the master key was rotated since: the shares that are out open nothing"
        return "escrow", "old", found, mend
    return "escrow", "good", f"any {newest.threshold} of {newest.shares} shares", ""
