"""The tree follows the log, and its heads are signed: once each, in order, and consistently."""

from __future__ import annotations

import struct
import threading
from hashlib import sha256

from gatebook.domain import checkpoints
from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoint_key import announce, checkpoint_key, recorded_keys
from gatebook.store.house import House, system
from gatebook.store.tree_signer import PRUNE_EVERY, TreeSigner
from tests.tree import naive
from tests.tree.conftest import happen, opened

HOUR = 3_600_000_000


def leaves(house: House) -> list[bytes]:
    """The leaf hashes of the whole log, by an encoding written out here once more."""
    found = []
    for position, at, stream, version, topic, metadata, payload in house.store.raw(0, 10**6):
        entry = b"\x01" + position.to_bytes(8, "big") + struct.pack(">q", at) + stream
        entry += version.to_bytes(8, "big") + len(topic).to_bytes(2, "big") + topic.encode()
        entry += len(metadata).to_bytes(4, "big") + metadata
        entry += len(payload).to_bytes(4, "big") + payload
        found.append(sha256(b"\0" + entry).digest())
    return found


def happened(house: House, kind: type) -> list[checkpoints.Happening]:
    """The events of one kind in the stream of checkpoints."""
    stream = house.store.stream(checkpoints.STREAM_ID)
    return [one.event for one in stream if isinstance(one.event, kind)]


def test_the_key_is_recorded_once(deployment):
    """The first start makes the key and records it; no later start records it again."""
    for _ in range(3):
        with opened(deployment) as house:
            key = checkpoint_key(house.keyring).verifier
            created = happened(house, checkpoints.CheckpointKeyCreated)
            assert [str(key)] == [one.verifier_key for one in created]
            assert {key.origin: key} == recorded_keys(house.store)


def test_a_crash_between_key_and_record_is_mended(house):
    """A key that the keyring has and the log has not is recorded at the next start, once."""
    house.keyring.destroy("checkpoint:ed25519")
    key = checkpoint_key(house.keyring).verifier
    assert key.origin not in recorded_keys(house.store)
    threads = [
        threading.Thread(target=announce, args=(house.app, house.store, key, system(), 1))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    created = happened(house, checkpoints.CheckpointKeyCreated)
    assert [one.origin for one in created].count(key.origin) == 1
    assert len(created) == 2


def test_every_head_is_the_root_of_the_log(house):
    """Round after round the newest head has the log's size and the RFC's root, signed."""
    signer, key = TreeSigner(house), checkpoint_key(house.keyring).verifier
    for events in (1, 3, 250, 1, 7):
        happen(house, events)
        signer.round()
        head = tables.newest_head(house.store)
        assert head is not None
        assert (head.size, head.root) == (house.store.head(), naive.mth(leaves(house)))
        said = key.verify(head.note)
        assert (said.size, said.root) == (head.size, head.root)
        assert tables.state(house.store) == tables.State(head.size, None)


def test_nothing_new_is_no_new_head(house):
    """Without events nothing is signed, by this process or the next."""
    signer = TreeSigner(house)
    signer.round()
    before = tables.heads(house.store, 10)
    signer.round()
    TreeSigner(house).round()
    assert before == tables.heads(house.store, 10)
    assert len(before) == 1


def test_two_signers_do_no_harm(house):
    """Two that work at once sign each size once, and every head is of the same log."""
    signers = [TreeSigner(house), TreeSigner(house)]
    for _ in range(4):
        happen(house)
        for signer in signers:
            signer.round()
            signer.round()
    all_leaves = leaves(house)
    found = tables.heads(house.store, 100)
    assert len(found) >= 4
    assert [head.root for head in found] == [naive.mth(all_leaves[: one.size]) for one in found]


def test_a_long_way_to_catch_up_is_interrupted(house, monkeypatch):
    """A signer that is asked to end does so between two batches, and the next one goes on."""
    monkeypatch.setattr("gatebook.projections.tree.BATCH", 10)
    happen(house, 60)
    TreeSigner(house).round(lambda: False)
    assert tables.state(house.store).size == 10
    assert tables.newest_head(house.store) is None
    TreeSigner(house).round()
    head = tables.newest_head(house.store)
    assert head is not None
    assert (head.size, head.root) == (house.store.head(), naive.mth(leaves(house)))


def test_the_duty_signs_at_its_interval_and_goes_on_after_trouble(house, monkeypatch):
    """While events arrive heads are signed; a store that fails for a moment ends nothing."""
    stop, troubles = threading.Event(), list[Exception]()
    signer, real = TreeSigner(house), tables.state
    failing = iter([True])

    def state(reader):
        if next(failing, False):
            raise OSError("for a moment")
        return real(reader)

    monkeypatch.setattr("gatebook.store.tree_signer.tables.state", state)
    thread = threading.Thread(target=signer.run, args=(stop, troubles.append))
    thread.start()
    try:
        for _ in range(100):
            happen(house)
            stop.wait(0.05)
            if len(tables.heads(house.store, 10)) >= 2:
                break
    finally:
        stop.set()
        thread.join(10)
    assert [str(one) for one in troubles] == ["for a moment"]
    assert len(tables.heads(house.store, 10)) >= 2


def test_heads_are_thinned_out(house):
    """The newest thousand heads are kept, and of the older ones the last of each hour."""
    with house.store.writing() as tx:
        for size in range(1, 1_301):
            tables.put_head(tx, tables.Head(size, b"r" * 32, "-", size * HOUR // 100))
        assert tables.prune_heads(tx) > 0
        assert tables.prune_heads(tx) == 0
    kept = sorted(one.size for one in tables.heads(house.store, 5_000))
    assert kept == [99, 199, 299, *range(301, 1_301)]
    assert PRUNE_EVERY < tables.PRUNED_AT_ONCE
