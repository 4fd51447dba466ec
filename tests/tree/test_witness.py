"""Witness files get every head, and a head in one that is not of this log stops the signing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gatebook.domain import checkpoints
from gatebook.domain.envelope import Entry
from gatebook.projections import tree_tables as tables
from gatebook.projections.tree_scan import TreeRefuted, rebuild
from gatebook.store.checkpoint_key import checkpoint_key, recorded_keys
from gatebook.store.checkpoints import CheckpointKey
from gatebook.store.house import House, system
from gatebook.store.tree_accept import NothingToAccept, accept, conflict_stands
from gatebook.store.tree_signer import TreeSigner
from gatebook.store.witness import TAIL, Witness, WitnessDamaged, all_notes, looked
from tests.tree.conftest import WITNESS, happen, opened
from tests.tree.test_signer import happened


def sign(house: House, heads: int = 1) -> None:
    """So many heads more, by one signer."""
    signer = TreeSigner(house)
    for _ in range(heads):
        happen(house)
        signer.round()


def file_of(house: House) -> Path:
    return house.settings.path(WITNESS)


def sizes(house: House) -> list[int]:
    """The heads in the witness, all of them authentic."""
    (key,) = recorded_keys(house.store).values()
    return [key.verify(note).size for note in all_notes(file_of(house))]


def conflicts(house: House) -> list[checkpoints.CheckpointConflicted]:
    return happened(house, checkpoints.CheckpointConflicted)  # type: ignore[return-value]


def trouble(house: House) -> str | None:
    (row,) = tables.witnesses(house.store)
    return row.trouble


def test_every_head_is_in_the_witness(house):
    """Head for head, as signed, in a file for its owner only; none twice over restarts."""
    sign(house, 3)
    TreeSigner(house).round()
    sign(house, 2)
    heads = [head.note for head in reversed(tables.heads(house.store, 10))]
    assert file_of(house).read_text() == "".join(heads)
    assert len(heads) == 5
    assert file_of(house).stat().st_mode & 0o777 == 0o600
    assert trouble(house) is None


@pytest.mark.parametrize("cut", [1, 2, 40, 100, 150, 200])
def test_a_torn_head_is_completed(house, cut):
    """A power cut in the middle of a note leaves no damage: the store has the whole of it."""
    sign(house, 3)
    whole = file_of(house).read_bytes()
    file_of(house).write_bytes(whole[:-cut])
    TreeSigner(house).round()
    sign(house)
    assert file_of(house).read_bytes().startswith(whole)
    assert sizes(house) == [head.size for head in reversed(tables.heads(house.store, 10))]
    assert tables.state(house.store).halted is None


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_rollback_is_noticed_and_accepted(deployment, tmp_path):
    """An older copy of the log stops the signing, recorded once, until an operator says why."""
    with opened(deployment) as house:
        sign(house)
    kept = tmp_path / "kept.db"
    shutil.copy(tmp_path / "gatebook.db", kept)
    with opened(deployment) as house:
        sign(house, 10)
        newest = sizes(house)[-1]
    shutil.copy(kept, tmp_path / "gatebook.db")

    with opened(deployment) as house:
        sign(house)
        sign(house)
        assert "an older copy was restored" in str(tables.state(house.store).halted)
        assert [one.size for one in conflicts(house)] == [newest]
        before = tables.newest_head(house.store)
        happen(house, 20)  # the log is longer than the head by now, and still not of its kind
        TreeSigner(house).round()
        assert tables.newest_head(house.store) == before

        done = accept(house, WITNESS, "restored on purpose", system())

        assert (done.size, done.kept_as) == (newest, f"{file_of(house)}.1")
        sign(house, 2)
        (given_up,) = happened(house, checkpoints.CheckpointAbandoned)
        assert (given_up.witness, given_up.reason) == (WITNESS, "restored on purpose")
        assert sizes(house)[-1] == house.store.head()
        assert tables.state(house.store).halted is None
        with pytest.raises(NothingToAccept, match="agrees"):
            accept(house, WITNESS, "again", system())


def away(house: House, deployment, how: str) -> None:
    """The witness that signing stopped for is moved, or not configured any more."""
    if how == "moved":
        file_of(house).rename(file_of(house).with_name("old"))
        return
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace(f'["{WITNESS}"]', "[]"))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "unrecorded"])
@pytest.mark.parametrize("how", ["moved", "unconfigured"])
def test_a_conflict_is_given_up_though_its_witness_is_gone(
    deployment, how, recorded, tmp_path, monkeypatch
):
    """No rebuild lifts it; its name and a reason do, whatever became of the file."""
    with opened(deployment) as house:
        sign(house)
        key = checkpoint_key(house.keyring)
        with file_of(house).open("a") as file:
            file.write(key.sign(9_999, b"\5" * 32))
        with monkeypatch.context() as patched:
            if not recorded:
                patched.setattr(TreeSigner, "_record", lambda *_: None)
            sign(house)
        away(house, deployment, how)
    with opened(deployment) as house:
        TreeSigner(house).round()
        halted = str(tables.state(house.store).halted)
        assert f"gatebook audit witness --accept {WITNESS} --reason TEXT" in halted
        assert len(conflicts(house)) == recorded
        with pytest.raises(TreeRefuted, match="still nothing is signed"):
            rebuild(house.store, lambda _a, _b: None, lambda: conflict_stands(house))
        with pytest.raises(NothingToAccept, match=WITNESS):
            accept(house, "store", "why", system())

        done = accept(house, WITNESS, "the disk is lost", system())

        assert (done.size, done.kept_as) == (9_999, None)
        sign(house)
        assert tables.state(house.store).halted is None
        (given_up,) = happened(house, checkpoints.CheckpointAbandoned)
        assert (given_up.witness, given_up.size) == (WITNESS, 9_999)
        assert given_up.reason == "the disk is lost"


def test_a_conflict_that_damaged_tiles_made_is_lifted_by_a_rebuild(house):
    """The head is of this log after all: nothing is given up."""
    sign(house, 3)
    claimed = tables.newest_head(house.store)
    assert claimed is not None
    event = checkpoints.CheckpointConflicted(witness=WITNESS, size=claimed.size, root=claimed.root)
    stream_id = checkpoints.STREAM_ID
    house.app.record(
        [Entry(stream_id, 0, event)],
        system(),
        house.clock.now(),
        unordered=frozenset({stream_id}),
    )
    with house.store.writing() as tx:
        tables.halt(tx, f"the witness {WITNESS} holds a signed head of {claimed.size} events")
    rebuild(house.store, lambda _a, _b: None, lambda: conflict_stands(house))
    assert tables.state(house.store).halted is None


@pytest.mark.parametrize("beyond", [0, 1_000])
def test_a_head_of_ours_for_another_log_is_a_conflict(house, beyond):
    """Our own signature over another root, or a size the log has not, stops the signing once."""
    sign(house)
    key, size = checkpoint_key(house.keyring), house.store.head()
    with file_of(house).open("a") as file:
        file.write(key.sign(size + beyond, b"\5" * 32))
    for _ in range(3):
        sign(house)
    (conflict,) = conflicts(house)
    assert (conflict.witness, conflict.size, conflict.root) == (WITNESS, size + beyond, b"\5" * 32)
    assert [head.size for head in tables.heads(house.store, 5)] == [size]
    assert WITNESS in str(tables.state(house.store).halted)


def test_a_file_that_changes_under_us_is_looked_at_again(house):
    """What somebody else adds between two heads of a turn is judged before the next is signed."""
    signer, key = TreeSigner(house), checkpoint_key(house.keyring)
    happen(house)
    signer.round()
    with file_of(house).open("a") as file:
        file.write(key.sign(1, b"\6" * 32))
    happen(house)
    signer.round()
    assert [one.size for one in conflicts(house)] == [1]
    assert len(tables.heads(house.store, 5)) == 1


def test_heads_of_others_are_nobodys_business(house):
    """A note of another log in the file is passed over: only our own signature binds us."""
    sign(house)
    with file_of(house).open("a") as file:
        file.write(CheckpointKey(b"\7" * 32).sign(10**6, b"\6" * 32))
    sign(house)
    assert tables.state(house.store).halted is None
    assert trouble(house) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes() + b"garbage\n" * 10),
        lambda path: path.write_bytes(b"x" * (2 * TAIL)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"\n1", b"\n2", 1)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(b"no head begins like this"),
    ],
)
def test_a_witness_that_cannot_be_used_is_told_and_made_good(house, spoil):
    """Signing goes on, the trouble is known, and once the file can be used it gets the head."""
    sign(house, 2)
    path = file_of(house)
    spoil(path)
    sign(house, 2)
    assert len(tables.heads(house.store, 10)) == 4
    assert tables.state(house.store).halted is None
    assert trouble(house) is not None

    if path.is_dir():
        path.rmdir()
    else:
        path.rename(path.with_name("elsewhere"))
    TreeSigner(house).round()
    assert trouble(house) is None
    assert sizes(house) == [house.store.head()]


def test_one_that_comes_back_in_the_same_turn(house):
    """A signer that could not write a file tries again, without a restart and without an event."""
    signer, path = TreeSigner(house), file_of(house)
    path.mkdir()
    happen(house)
    signer.round()
    assert trouble(house) is not None
    path.rmdir()
    signer.round()
    assert trouble(house) is None
    assert sizes(house) == [house.store.head()]


def test_a_witness_that_is_no_longer_configured_is_forgotten(deployment):
    """Its trouble goes with it."""
    with opened(deployment) as house:
        file_of(house).mkdir()
        sign(house)
        assert trouble(house) is not None
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace(f'["{WITNESS}"]', "[]"))
    with opened(deployment) as house:
        TreeSigner(house).round()
        assert tables.witnesses(house.store) == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_trouble_is_said_once_when_it_begins_and_when_it_ends(house):
    """For the server's own log: neither a witness nor the signing stops in silence."""
    said: list[tuple[str, str]] = []
    signer = TreeSigner(house, lambda what, fields: said.append((what, fields.get("witness", ""))))
    path = file_of(house)
    path.mkdir()
    for _ in range(3):
        happen(house)
        signer.round()
    path.rmdir()
    for _ in range(2):
        happen(house)
        signer.round()
    assert said == [("witness in trouble", WITNESS), ("witness good again", WITNESS)]
    said.clear()
    with path.open("a") as file:
        file.write(checkpoint_key(house.keyring).sign(9_999, b"\5" * 32))
    for _ in range(3):
        happen(house)
        signer.round()
    accept(house, WITNESS, "a test", system())
    for _ in range(2):
        happen(house)
        signer.round()
    assert said == [("signing stopped", ""), ("signing goes on", "")]


def test_a_file_is_read_from_its_end(tmp_path):
    """Of a large file only the end is looked at; all of it can still be read, note by note."""
    key = CheckpointKey(b"\1" * 32)
    notes = [key.sign(size, size.to_bytes(32, "big")) for size in range(1, 1_001)]
    path = tmp_path / "large"
    path.write_text("".join(notes))
    found = Witness("large", path).look()
    assert found.notes == notes[-len(found.notes) :]
    assert 100 < len(found.notes) < 1_000
    assert list(all_notes(path)) == notes


def test_what_stands_between_two_heads_is_damage():
    """A line that belongs to no head is not passed over."""
    note = CheckpointKey(b"\1" * 32).sign(1, b"\1" * 32).encode()
    assert len(looked(note + note, whole=True).notes) == 2
    for wrong in (note + b"\n" + note, b"x\n" + note, note + b"1\n" * 9):
        with pytest.raises(WitnessDamaged):
            looked(wrong, whole=True)
