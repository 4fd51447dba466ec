"""Checkpoints and proofs, computed from the tiles: anybody may ask, the hashes tell nothing."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from gatebook.api.audit import shown
from gatebook.api.call import Call
from gatebook.api.checkpoint_schemas import (
    ConsistencyProof,
    ConsistencyQuery,
    EventProof,
    InclusionProof,
    InclusionQuery,
    ProvenEvent,
)
from gatebook.api.events import event_of
from gatebook.api.reply import Reply, Text
from gatebook.domain.errors import InvalidValue, NotFound
from gatebook.projections import tree_tables as tables
from gatebook.projections.leaf import entry_of
from gatebook.projections.merkle import consistency_path, inclusion_path, root
from gatebook.projections.tree import subtrees
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.house import House

PLAIN: Final = "text/plain; charset=utf-8"
KEY_CACHED: Final = "public, max-age=300"


def newest(house: House) -> tables.Head:
    """The newest signed head. Raises NotFound before the first."""
    head = tables.newest_head(house.store)
    if head is None:
        raise NotFound("No checkpoint has been signed yet.")
    return head


def checkpoint(call: Call[None, None]) -> Reply:
    """GET /v1/audit/checkpoint and GET /tlog/checkpoint"""
    return Reply(200, Text(newest(call.house).note.encode(), PLAIN))


def key(call: Call[None, None]) -> Reply:
    """GET /v1/audit/checkpoint/key"""
    written = f"{checkpoint_key(call.house.keyring).verifier}\n"
    return Reply(200, Text(written.encode(), PLAIN), {"Cache-Control": KEY_CACHED})


def inclusion(call: Call[None, InclusionQuery]) -> Reply:
    """GET /v1/audit/proof/inclusion"""
    log, query = call.house.store, call.query
    size = _size(call.house, query.size, "/size")
    if query.position > size:
        raise NotFound(f"The event {query.position} is not in the tree of {size} events.")
    hashes = subtrees(log)
    leaf = query.position - 1
    proof = InclusionProof(
        position=query.position,
        leaf_index=leaf,
        leaf_hash=_text(hashes(0, leaf)),
        tree_size=size,
        root_hash=_text(root(size, hashes)),
        inclusion_path=_texts(inclusion_path(leaf, size, hashes)),
        checkpoint=_note(call.house, size),
    )
    return Reply(200, proof)


def consistency(call: Call[None, ConsistencyQuery]) -> Reply:
    """GET /v1/audit/proof/consistency"""
    first, second = call.query.from_, _size(call.house, call.query.to, "/to")
    if first > second:
        raise InvalidValue(f"It is larger than the later size, {second}.", "/from")
    hashes = subtrees(call.house.store)
    proof = ConsistencyProof(
        tree_size_1=first,
        tree_size_2=second,
        root_hash_1=_text(root(first, hashes)),
        root_hash_2=_text(root(second, hashes)),
        consistency_path=_texts(consistency_path(first, second, hashes)),
        checkpoint=_note(call.house, second),
    )
    return Reply(200, proof)


def event(call: Call[None, None]) -> Reply:
    """GET /v1/audit/events/{position}"""
    recorded = shown(call)
    flat: dict[str, Any] = {
        name: getattr(described, name)
        for described in [event_of(call.house, recorded)]
        for name in described.__struct_fields__
    }
    return Reply(200, ProvenEvent(**flat, proof=_proof(call.house, recorded.position)))


def _proof(house: House, position: int) -> EventProof | None:
    head = tables.newest_head(house.store)
    if head is None or head.size < position:
        return None
    (row,) = house.store.raw(position - 1, 1, position)
    return EventProof(
        leaf=_text(entry_of(row)),
        leaf_index=position - 1,
        tree_size=head.size,
        inclusion_path=_texts(inclusion_path(position - 1, head.size, subtrees(house.store))),
        checkpoint=head.note,
    )


def _size(house: House, wanted: int | None, pointer: str) -> int:
    head = newest(house)
    if wanted is not None and wanted > head.size:
        raise InvalidValue(f"The newest checkpoint has {head.size} events.", pointer)
    return head.size if wanted is None else wanted


def _note(house: House, size: int) -> str | None:
    head = tables.head_of(house.store, size)
    return head.note if head is not None else None


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _texts(values: list[bytes]) -> list[str]:
    return [_text(value) for value in values]
