"""Recorded decisions are made again by the same functions, and come out the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatebook.domain import (
    account,
    attempts,
    break_glass,
    challenge,
    passkey,
    role,
    session,
    signing_keys,
    token,
    totp,
    username,
)
from gatebook.domain.application.core import local
from gatebook.domain.attempts import Counter as TriesCounter
from gatebook.domain.envelope import SYSTEM, Metadata, Recorded
from gatebook.domain.event import Event
from gatebook.domain.judges import JUDGES
from gatebook.store.deciding import redecided
from gatebook.store.house import House
from gatebook.tools.bench.decided import DecidedLife
from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import synthesize
from gatebook.tools.main import run
from tests.replay.conftest import Lived, opened
from tests.replay.fuller import FullerLife
from tests.replay.walking import Walk, decided_with
from tests.system.conftest import LONG
from tests.wire.samples import ALICE, ENTRIES, SESSION, STREAM

SECOND = 1_000_000
MANY = 100_000


def test_every_decision_of_a_life_comes_out_the_same(lived: Lived) -> None:
    """Nothing disagrees; what cannot be told rests on what is erased or was never recorded."""
    outcomes: Counter[str] = Counter()
    for recorded, made in Walk().through(lived.house.store):
        assert made.outcome != "disagrees", (recorded, made)
        outcomes[made.outcome] += 1
        if made.outcome == "unknown":
            assert made.why
        if made.outcome == "no-decision":
            assert type(recorded.event) not in JUDGES

    assert outcomes["agrees"] > 600
    assert outcomes["unknown"] < outcomes["agrees"] / 20


def test_one_by_one_they_come_out_as_in_a_walk(lived: Lived) -> None:
    """Read from the log for one event alone, or held in memory all along: the same answer."""
    store = lived.house.store
    for recorded, made in Walk().through(store):
        if recorded.position % 3 == 0:
            again = redecided(store, recorded)
            assert (again.outcome, again.now) == (made.outcome, made.now), recorded


def test_a_hundred_thousand_decisions_come_out_the_same(tmp_path: Path) -> None:
    """The same over a log of 100,000 decisions, made by the deciders at their own speed."""
    _deployment, house = opened(tmp_path)
    try:
        life = DecidedLife(
            policy=house.app.policy, kid=house.access.keys()[0].kid, start=house.clock.now()
        )
        synthesize(house.store, MANY, codec=Real(house), saves=life.saves())
        outcomes = Counter(made.outcome for _one, made in Walk().through(house.store))
    finally:
        house.close()

    assert outcomes["agrees"] >= MANY
    assert set(outcomes) == {"agrees", "no-decision"}
    assert outcomes["no-decision"] < 5


@pytest.mark.skipif(not LONG, reason="takes minutes: ./run test-long")
def test_a_hundred_thousand_decisions_of_a_life_come_out_the_same(tmp_path: Path) -> None:
    """The same over a log of 100,000 decisions, each made by a command of the application."""
    _deployment, house = opened(tmp_path)
    try:
        life = FullerLife(house, seed=1, people=300)
        for _ in range(4 * MANY):
            life.step()
            if life.accepted % 1_000 == 0 and house.store.head() > 1.06 * MANY:
                break
        outcomes = Counter(made.outcome for _one, made in Walk().through(house.store))
    finally:
        house.close()

    assert outcomes["disagrees"] == 0
    assert outcomes["agrees"] >= MANY


# --- what was changed disagrees

ANOTHER: dict[type[Event], Callable[[Any], Event]] = {
    account.AccountRestored: lambda e: msgspec.structs.replace(
        e, status="active" if e.status == "inactive" else "inactive"
    ),
    account.RoleGranted: lambda e: msgspec.structs.replace(e, generation=e.generation + 1),
    attempts.LoginFailed: lambda e: msgspec.structs.replace(e, failures=e.failures + 1),
    attempts.BreakGlassLoginFailed: lambda e: msgspec.structs.replace(e, failures=e.failures - 1),
    break_glass.CredentialSet: lambda e: msgspec.structs.replace(e, expires_at=1),
    challenge.MfaChallenged: lambda e: msgspec.structs.replace(e, epoch=e.epoch + 1),
    role.RoleDefined: lambda e: msgspec.structs.replace(e, generation=e.generation + 1),
    session.LoginSucceeded: lambda e: msgspec.structs.replace(e, policy=e.policy + 1000),
    session.SessionOpened: lambda e: msgspec.structs.replace(e, expires_at=e.expires_at + 1),
    session.SessionKept: lambda e: msgspec.structs.replace(e, epoch=e.epoch - 1),
    session.SessionRotated: lambda e: msgspec.structs.replace(
        e, tokens=msgspec.structs.replace(e.tokens, expires_at=e.tokens.expires_at + SECOND)
    ),
    token.TokenIssued: lambda e: msgspec.structs.replace(e, epoch=e.epoch + 1),
    token.TokensPruned: lambda e: msgspec.structs.replace(e, before=e.before + 10**15),
    totp.TotpOffered: lambda e: msgspec.structs.replace(e, expires_at=e.expires_at + 1),
    totp.TotpConfirmed: lambda e: msgspec.structs.replace(e, offer=e.offer - 1),
}
"""Another outcome than the one that was decided."""


def test_an_outcome_that_was_changed_disagrees(lived: Lived) -> None:
    """One number off, and the same function no longer gives the event."""
    seen: Counter[type[Event]] = Counter()

    def forged(recorded: Recorded) -> Recorded | None:
        change = ANOTHER.get(type(recorded.event))
        if change is None or getattr(recorded.event, "account_id", "somebody") is None:
            return None
        return msgspec.structs.replace(recorded, event=change(recorded.event))

    for wrong, made in decided_with(lived.house.store, forged):
        if made.outcome == "unknown":
            continue  # erased, or a policy that never was
        seen[type(wrong.event)] += 1
        assert made.outcome == "disagrees", (wrong, made)

    assert len(seen) >= len(ANOTHER) - 3
    assert seen[attempts.LoginFailed] > 20


def test_a_lock_that_was_changed_disagrees(lived: Lived) -> None:
    """A lock that ends later, one that should not be there, and one that is missing."""
    locks = 0

    def moved(recorded: Recorded) -> Recorded | None:
        nonlocal locks
        event = recorded.event
        if not isinstance(event, attempts.LoginFailed) or event.account_id is None:
            return None
        locks += event.locked_until is not None
        until = None if event.locked_until is not None else event.failed_at + 900 * SECOND
        return msgspec.structs.replace(
            recorded, event=msgspec.structs.replace(event, locked_until=until)
        )

    found = [made.outcome for _wrong, made in decided_with(lived.house.store, moved)]

    assert set(found) == {"disagrees"}
    assert locks > 0


# --- decisions that the life above has none of


class Told:
    """A log as it stood, told by hand."""

    def __init__(self, *events: tuple[str, Any, Event]) -> None:
        self._walk = Walk()
        for version, (_kind, stream_id, event) in enumerate(events, start=1):
            self._walk.take(_recorded(stream_id, event, version))

    def decide(self, stream_id: Any, event: Event) -> str:
        return self._walk.decide(_recorded(stream_id, event, 9)).outcome


def _recorded(stream_id: Any, event: Event, version: int) -> Recorded:
    metadata = Metadata(actor=SYSTEM, at=10**15 + version)
    return Recorded(version, metadata.at, stream_id, version, event.TOPIC, event, metadata)


def test_a_passkey_whose_count_did_not_grow_was_refused() -> None:
    """A use with a count that grew agrees; one that did not disagrees, and the suspicion agrees."""
    registered = ENTRIES["passkey.registered.1"].event
    assert isinstance(registered, passkey.PasskeyRegistered)
    owner = registered.account_id
    used = passkey.PasskeyUsed(account_id=owner, sign_count=7, backed_up=False, user_verified=True)
    uses = passkey.uses_id(registered.credential_id)
    log = Told(("passkey-uses", uses, used))

    grown = msgspec.structs.replace(used, sign_count=8)
    assert log.decide(uses, grown) == "agrees"
    assert log.decide(uses, used) == "disagrees"
    suspected = passkey.PasskeyCloneSuspected(
        account_id=owner, sign_count=7, backed_up=False, received=7
    )
    assert log.decide(uses, suspected) == "agrees"
    assert log.decide(uses, msgspec.structs.replace(suspected, received=9)) == "disagrees"
    backed_up = passkey.PasskeyBackupChanged(account_id=owner, sign_count=7, backed_up=True)
    assert log.decide(uses, backed_up) == "agrees"
    assert log.decide(uses, msgspec.structs.replace(backed_up, backed_up=False)) == "disagrees"


def test_a_name_is_claimed_by_one_and_a_key_that_signs_is_not_retired() -> None:
    """What a refusal should have stopped disagrees, and says why."""
    one, other, name = ALICE, SESSION, STREAM
    log = Told(("username", name, username.UsernameClaimed(account_id=one)))
    assert log.decide(name, username.UsernameClaimed(account_id=other)) == "disagrees"
    assert log.decide(name, username.UsernameReleased(account_id=one)) == "agrees"

    ring = signing_keys.STREAM_ID
    log = Told(
        ("signing-keys", ring, signing_keys.KeyCreated(kid="k", algorithm="ES256", public_jwk="")),
        ("signing-keys", ring, signing_keys.KeyActivated(kid="k", signs_from=1)),
    )
    assert log.decide(ring, signing_keys.KeyRetired(kid="k")) == "disagrees"


def test_every_event_has_a_judge_or_is_no_decision() -> None:
    """Nothing that a pure function decides is left out by oversight."""
    facts = {topic.rpartition(".")[0] for topic in ENTRIES if not _is_judged(topic)}

    assert {name.partition(".")[0] for name in facts} == {
        "audit", "certificate", "checkpoint", "checkpoint_key", "command", "configuration",
        "console", "deployment", "federated_login", "login", "master_key", "projection",
        "provider", "store",
    }  # fmt: skip
    assert {"login.refused_while_locked", "federated_login.failed"} <= facts
    assert "login.failed" not in facts


def _is_judged(topic: str) -> bool:
    return type(ENTRIES[topic].event) in JUDGES


# --- the command and the API


def test_a_forged_count_is_found_by_the_command(tmp_path: Path, capfd: Any) -> None:
    """Code 0 for what agrees; 1 for what disagrees, for no such event and with the inputs told."""
    deployment, house = opened(tmp_path)
    try:
        account_id = house.accounts.create(local("tester"), "jane", "human").id
        right, wrong = _failures(house, account_id)
    finally:
        house.close()
    config = str(deployment.config)

    def explain(*words: str) -> tuple[int, str]:
        code = run(["--config", config, *words])
        said = capfd.readouterr()
        return code, said.out + said.err

    code, said = explain("--json", "audit", "explain", "--event", str(right))
    found = json.loads(said)
    assert (code, found["outcome"], found["inputs"]["threshold"]) == (0, "agrees", 5)
    code, said = explain("audit", "explain", "--event", str(wrong))
    assert code == 1
    assert "Something else is decided now." in said
    assert "failures before" in said
    code, said = explain("--json", "audit", "explain", "--event", str(wrong))
    found = json.loads(said)
    assert found["event"]["data"]["failures"] == 3
    assert found["now"][0]["data"]["failures"] == 2
    assert explain("audit", "explain", "--event", "99999")[0] == 1
    assert explain("audit", "explain", "--event", "1", "jane", "audit.read")[0] == 2
    assert explain("audit", "explain", "jane")[0] == 2
    code, said = explain("audit", "explain", "--event", "1")
    assert (code, "Nothing was decided here." in said) == (0, True)


def _failures(house: House, account_id: Any) -> tuple[int, int]:
    """Two wrong passwords on record, the second of them counted one too far."""
    counter, now = TriesCounter(account_id, "password"), house.clock.now()
    positions = []
    for failures in (1, 3):
        event = attempts.LoginFailed(
            account_id=account_id,
            method="password",
            cause="wrong-password",
            matched=False,
            failures=failures,
            failed_at=now,
            locked_until=None,
            policy=1,
        )
        house.app.record_one(event, counter.stream_id, local("tester"), now)
        positions.append(house.store.head())
    return positions[0], positions[1]
