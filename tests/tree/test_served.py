"""What the static paths cannot carry."""

from __future__ import annotations

from gatebook.api.local import local_client
from gatebook.domain import checkpoints
from gatebook.domain.envelope import Entry
from gatebook.store.house import system
from gatebook.store.tree_signer import sign_now


def test_an_entry_that_no_bundle_can_hold(house):
    """An event of more than 65,535 bytes is told by its position; its proof is still given."""
    event = checkpoints.CheckpointAbandoned(witness="x", size=1, root=b"r", reason="y" * 70_000)
    position = house.app.record(
        [Entry(checkpoints.STREAM_ID, 0, event)],
        system(),
        1,
        unordered=frozenset({checkpoints.STREAM_ID}),
    )
    sign_now(house)
    with local_client(house, "auditor", "test") as client:
        answer = client.get(f"/tlog/tile/entries/000.p/{position}")
        assert (answer.status_code, f"event {position} " in answer.text) == (404, True)
        assert client.get(f"/tlog/tile/entries/000.p/{position - 1}").status_code == 200
        assert client.get(f"/tlog/tile/0/000.p/{position}").status_code == 200
        assert client.get(f"/v1/audit/events/{position}").json()["proof"]["leaf"]
