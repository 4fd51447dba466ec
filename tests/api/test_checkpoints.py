"""Checkpoints, proofs and tiles over HTTP, and the duty that signs beside the read models."""

from __future__ import annotations

import socket
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.checkpoints import Checkpoint, VerifierKey
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from gatebook.store.witness import all_notes
from tests.api.conftest import SERVER
from tests.api.served import Deployment, Served

WITNESSED = '[audit]\ncheckpoint_interval = "100ms"\nwitness_files = ["witness.txt"]\n'


def until(found: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What comes true within some time."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def key_of(served: Served) -> VerifierKey:
    answer = served.client.get("/v1/audit/checkpoint/key")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return VerifierKey.parse(answer.raw.decode().strip())


def covering(served: Served, position: int) -> Checkpoint:
    """The first checkpoint that covers an event."""
    key = key_of(served)

    def newest() -> Checkpoint | None:
        answer = served.client.get("/v1/audit/checkpoint")
        said = key.verify(answer.raw.decode()) if answer.status == 200 else None
        return said if said is not None and said.size >= position else None

    return until(newest)


def folded(leaf: bytes, index: int, size: int, path: list[str]) -> bytes:
    """The root that a leaf and its path come to (RFC 9162, 2.1.3.2)."""
    node, at, last = sha256(b"\0" + leaf).digest(), index, size - 1
    for one in map(b64decode, path):
        if at & 1 or at == last:
            node = sha256(b"\1" + one + node).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + one).digest()
        at, last = at >> 1, last >> 1
    assert last == 0
    return node


def test_a_checkpoint_covers_an_event_soon(served: Served) -> None:
    """Within a second or so the newest checkpoint has what was just recorded."""
    served.account()
    position = served.head()
    began = time.monotonic()
    assert covering(served, position).size >= position
    assert time.monotonic() - began < 10
    answer = served.client.get("/v1/audit/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_event_with_its_proof(served: Served) -> None:
    """Leaf, path and checkpoint of an event verify without asking anything else."""
    account = served.account()
    (event,) = served.events(f"&account={account['id']}&type=account.created")
    covering(served, event["position"])

    proof = served.admin.get(f"/v1/audit/events/{event['position']}").body["proof"]

    said = key_of(served).verify(proof["checkpoint"])
    leaf = b64decode(proof["leaf"])
    assert said.size == proof["tree_size"]
    assert proof["leaf_index"] == event["position"] - 1
    assert leaf[1:9] == event["position"].to_bytes(8, "big")
    assert b"account.created.1" in leaf
    root = folded(leaf, proof["leaf_index"], said.size, proof["inclusion_path"])
    assert root == said.root


def test_an_inclusion_proof_of_any_size(served: Served) -> None:
    """Anybody may ask, for any size that a checkpoint covers; the newest is the default."""
    newest = covering(served, 5)
    for size in (5, 6, newest.size):
        proof = served.client.get(f"/v1/audit/proof/inclusion?position=5&size={size}").body
        assert (proof["tree_size"], proof["leaf_index"], proof["position"]) == (size, 4, 5)
        event = served.admin.get("/v1/audit/events/5").body["proof"]
        leaf = b64decode(event["leaf"])
        assert b64decode(proof["leaf_hash"]) == sha256(b"\0" + leaf).digest()
        root = folded(leaf, 4, size, proof["inclusion_path"])
        assert root == b64decode(proof["root_hash"])
    said = served.client.get("/v1/audit/proof/inclusion?position=5").body
    assert key_of(served).verify(said["checkpoint"]).size == said["tree_size"] >= newest.size


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("inclusion", 400),
        ("inclusion?position=0", 400),
        ("inclusion?position=-1", 400),
        ("inclusion?position=x", 400),
        ("inclusion?position=1&size=0", 400),
        ("inclusion?position=1&size=4000000000", 400),
        ("inclusion?position=3&size=2", 404),
        ("inclusion?position=4000000000", 404),
        ("inclusion?position=1&position=2", 400),
        ("consistency", 400),
        ("consistency?from=0", 400),
        ("consistency?from=2&to=1", 400),
        ("consistency?from=1&to=4000000000", 400),
        ("consistency?from=4000000000", 400),
        ("consistency?from_=1", 400),
    ],
)
def test_what_cannot_be_proved(served: Served, path: str, status: int) -> None:
    """Sizes and positions outside the tree are refused, never proved."""
    covering(served, 1)
    answer = served.client.get(f"/v1/audit/proof/{path}")
    assert answer.status == status, answer.raw
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_tiles(served: Served) -> None:
    """A partial tile is served as wide as a checkpoint covers it, to be kept for ever."""
    size = covering(served, 3).size
    width = min(size, 200)
    answer = served.client.get(f"/tlog/tile/0/000.p/{width}")
    assert (answer.status, len(answer.raw)) == (200, 32 * width)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "immutable" in answer.headers["Cache-Control"]
    note = served.client.get("/tlog/checkpoint")
    assert key_of(served).verify(note.raw.decode()).size >= size

    entries = served.admin.get("/tlog/tile/entries/000.p/3")
    raw, found = entries.raw, []
    while raw:
        length = int.from_bytes(raw[:2], "big")
        found.append(sha256(b"\0" + raw[2 : 2 + length]).digest())
        raw = raw[2 + length :]
    assert b"".join(found) == answer.raw[:96]
    assert entries.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["0/999", "0/x001/000", "5/000", "64/000", "00/000", "-1/000", "0/1", "0/000.p/0", "0/000.p",
     "0/000.p/256", "0/000.p/1/2", "0/x000/000", "a/000", "0/999/x999/x999/999"],
)  # fmt: skip
def test_tiles_that_are_not_there(served: Served, path: str) -> None:
    """Nothing is served under any other path than a tile's own, nor beyond the checkpoint."""
    covering(served, 1)
    assert served.client.get(f"/tlog/tile/{path}").status == 404
    assert served.admin.get(f"/tlog/tile/entries/{path.partition('/')[2]}").status == 404


def test_entries_are_for_auditors(served: Served) -> None:
    """Hashes tell nothing, entries tell who did what: they need audit.read."""
    covering(served, 1)
    _, person = served.signed_in()
    assert served.client.get("/tlog/tile/entries/000.p/1").status == 401
    assert person.get("/tlog/tile/entries/000.p/1").status == 403


# --- a deployment of one's own


def opened(deployment: Deployment) -> House:
    return open_house(Settings.load(deployment.config, {}))


@pytest.fixture
def witnessed(tmp_path: Path) -> Deployment:
    """A deployment with a witness; nothing runs, and nothing was signed."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server=SERVER, more=WITNESSED)
    made.create()
    return made


def test_a_clean_stop_signs_the_last_event(witnessed: Deployment) -> None:
    """Whatever was recorded before the end is in the last head, in the table and the witness."""
    with witnessed.served() as served:
        served.account()
    house = opened(witnessed)
    try:
        head = tables.newest_head(house.store)
        assert head is not None
        assert head.size == house.store.head()
        assert list(all_notes(witnessed.directory / "witness.txt"))[-1] == head.note
    finally:
        house.close()


def test_a_conflict_turns_readiness_red(tmp_path: Path) -> None:
    """A witness that holds another log's head: 503 on both listeners, and no head more."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = f'{SERVER}\nmanagement_listen = "127.0.0.1:{port}"'
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server=server, more=WITNESSED)
    deployment.create()
    house = opened(deployment)
    (tmp_path / "witness.txt").write_text(checkpoint_key(house.keyring).sign(5_000, b"\1" * 32))
    house.close()
    with deployment.served() as served:
        management = type(served.client)("127.0.0.1", port)
        for client in (served.client, management):
            answer = until(lambda c=client: (a := c.get("/v1/ready")).status == 503 and a)
            assert "witness.txt holds a signed head of 5000 events" in answer.body["problems"][0]
        (tree,) = [one for one in answer.body["projections"] if one["name"] == "tree"]
        assert tree["status"] == "halted"
        assert served.client.get("/v1/audit/checkpoint").status == 404
        served.account()
        assert [one["type"] for one in served.events("&type=checkpoint.conflicted")]
        assert served.client.get("/tlog/tile/0/000.p/1").status == 404
        found = served.admin.get("/v1/audit/events/1").body
        assert found["proof"] is None
        assert served.client.get("/v1/audit/proof/inclusion?position=1").status == 404


def test_an_unwritable_witness_turns_readiness_red_and_stops_nothing(
    witnessed: Deployment,
) -> None:
    """Heads go on being signed; the service is not ready until the witness is written again."""
    place = witnessed.directory / "witness.txt"
    place.mkdir()
    with witnessed.served() as served:
        answer = until(lambda: (a := served.client.get("/v1/ready")).status == 503 and a)
        assert "witness.txt cannot be" in answer.body["problems"][0]
        assert b"\ngatebook_witnesses_in_trouble 1.0" in served.admin.get("/metrics").raw
        served.account()
        covering(served, served.head())
        place.rmdir()
        until(lambda: served.client.get("/v1/ready").status == 200)
        assert b"\ngatebook_witnesses_in_trouble 0.0" in served.admin.get("/metrics").raw
        said = witnessed.log()
        assert said.count('"witness in trouble"') == said.count('"witness good again"') == 1
        assert '"gatebook.follower"' in said
    notes = list(all_notes(place))
    assert notes


def test_read_models_and_tree_stop_for_themselves_only(witnessed: Deployment) -> None:
    """A halted read model does not hold up the tree, nor a halted tree the read models."""
    with witnessed.served() as served:
        house = opened(witnessed)
        try:
            covering(served, 1)
            with house.store.writing() as tx:
                tx.execute("UPDATE projections SET status = 'halted' WHERE name = 'accounts'")
            served.account()
            covering(served, house.store.head())
            with house.store.writing() as tx:
                tx.execute("UPDATE projections SET status = 'live' WHERE name = 'accounts'")
                tables.halt(tx, "a test")
            account = served.account()
            until(lambda: served.admin.get(f"/v1/accounts?q={account['username']}").body["items"])
            before = tables.newest_head(house.store)
            time.sleep(0.5)
            assert tables.newest_head(house.store) == before
            with house.store.writing() as tx:
                tables.halt(tx, None)
            covering(served, house.store.head())
        finally:
            house.close()
