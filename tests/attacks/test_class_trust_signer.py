"""Trust: a signer that is talked into a head that contradicts one it signed before.

The database, or a witness file, is in somebody else's hands; the key is not.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatebook.domain import checkpoints
from gatebook.domain.envelope import Entry
from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoint_key import recorded_keys
from gatebook.store.checkpoints import CheckpointKey, VerifierKey
from gatebook.store.house import House, open_house, system
from gatebook.store.settings import Settings
from gatebook.store.tree_signer import TreeSigner, sign_now
from gatebook.store.witness import Witness, WitnessDamaged, all_notes
from tests.api.served import Deployment
from tests.tree.conftest import MORE, WITNESS, happen, opened

STRANGER = CheckpointKey(b"\x07" * 32)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A store with a witness file; nothing runs on it."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", more=MORE)
    made.create(admin=False)
    return made


def forget_heads(house: House) -> None:
    """What somebody with the database can do: nothing beside the log tells of a head."""
    with house.store.writing() as tx:
        tables.start_over(tx)


def rolled_back(deployment: Deployment) -> Path:
    """Signs, keeps a copy of the log, signs on, and puts the copy back. Returns the witness."""
    log, witness = deployment.directory / "gatebook.db", deployment.directory / WITNESS
    with opened(deployment) as house:
        happen(house, 3)
        sign_now(house)
    older = log.read_bytes()
    with opened(deployment) as house:
        happen(house, 3)
        sign_now(house)
    for name in ("gatebook.db-wal", "gatebook.db-shm"):
        (deployment.directory / name).unlink(missing_ok=True)
    log.write_bytes(older)
    return witness


def test_a_key_that_usurps_a_name_is_no_key(deployment: Deployment) -> None:
    """An event may say that our origin belongs to another key: then no head of ours would count."""
    witness = rolled_back(deployment)
    with opened(deployment) as house:
        (origin, ours), *_ = recorded_keys(house.store).items()
        forged = VerifierKey(origin, STRANGER.verifier.public)
        event = checkpoints.CheckpointKeyCreated(origin=origin, verifier_key=str(forged))
        stream = checkpoints.STREAM_ID
        house.app.record([Entry(stream, 0, event)], system(), 1, unordered=frozenset({stream}))
        happen(house, 9)
        forget_heads(house)
        before = witness.read_bytes()
        sign_now(house)
        assert recorded_keys(house.store)[origin] == ours
        assert tables.state(house.store).halted is not None
        assert tables.newest_head(house.store) is None
        assert witness.read_bytes() == before


def test_strange_heads_do_not_bury_ours(deployment: Deployment) -> None:
    """Whoever may append to a witness cannot hide what we signed behind heads of his own."""
    witness = rolled_back(deployment)
    strange = "".join(STRANGER.sign(size, bytes(32)) for size in range(1, 400))
    with witness.open("a") as file:
        file.write(strange)
    with opened(deployment) as house:
        happen(house, 9)
        forget_heads(house)
        sign_now(house)
        assert tables.state(house.store).halted is not None


def test_old_heads_of_ours_do_not_bury_the_newest(deployment: Deployment) -> None:
    """Nor by appending again what we once signed, which is authentic."""
    witness = rolled_back(deployment)
    oldest = next(all_notes(witness))
    with witness.open("a") as file:
        file.write(oldest * 400)
    with opened(deployment) as house:
        happen(house, 9)
        forget_heads(house)
        sign_now(house)
        assert tables.state(house.store).halted is not None
        assert tables.newest_head(house.store) is None


def test_a_witness_of_a_log_that_was_begun_anew(deployment: Deployment) -> None:
    """Database and keys were replaced: the new key's heads do not follow those in the witness."""
    with opened(deployment) as house:
        happen(house, 3)
        sign_now(house)
    for name in ("gatebook.db", "gatebook.db-wal", "gatebook.db-shm", "gatebook.keys.db"):
        (deployment.directory / name).unlink(missing_ok=True)
    open_house(Settings.load(deployment.config, {}), create=True).close()
    with opened(deployment) as house:
        before = (deployment.directory / WITNESS).read_bytes()
        happen(house, 9)
        sign_now(house)
        (row,) = tables.witnesses(house.store)
        assert row.trouble is not None
        assert (deployment.directory / WITNESS).read_bytes() == before


def test_rubbish_in_the_middle_is_not_forgotten(deployment: Deployment) -> None:
    """What keeps the whole file from being read keeps the witness in trouble, turn after turn."""
    witness = rolled_back(deployment)
    oldest = next(all_notes(witness))
    with witness.open("a") as file:
        file.write("rubbish\n" + oldest * 400)
    before = witness.read_bytes()
    with opened(deployment) as house:
        happen(house, 9)
        forget_heads(house)
        signer = TreeSigner(house)
        for _ in range(3):
            signer.round()
            happen(house)
            (row,) = tables.witnesses(house.store)
            assert row.trouble is not None
    assert witness.read_bytes() == before


def test_an_event_that_cannot_be_hashed_stops_the_signing_aloud(deployment: Deployment) -> None:
    """A topic of 70,000 bytes fits no leaf: nothing newer is ever signed, and that has to show."""
    with opened(deployment) as house:
        happen(house, 3)
        sign_now(house)
        with house.store.writing() as tx:
            head = house.store.head()
            row = (head + 1, 1, b"s" * 16, 1, "x" * 70_000, b"", b"")
            tx.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        sign_now(house)
        assert f"event {head + 1}" in (tables.state(house.store).halted or "")
        newest = tables.newest_head(house.store)
        assert newest is not None
        assert newest.size <= head


def test_a_pipe_in_the_place_of_a_witness_stops_nobody(deployment: Deployment) -> None:
    """To open a pipe waits for ever: it is refused, and the signing goes on."""
    witness = deployment.directory / WITNESS
    os.mkfifo(witness)
    with pytest.raises(WitnessDamaged):
        Witness(WITNESS, witness).look()
    with pytest.raises((WitnessDamaged, OSError)):
        Witness(WITNESS, witness).append("x")
    with opened(deployment) as house:
        happen(house, 3)
        TreeSigner(house).round()
        head = tables.newest_head(house.store)
        assert head is not None
        assert head.size == house.store.head()
        (row,) = tables.witnesses(house.store)
        assert row.trouble is not None
