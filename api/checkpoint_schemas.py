"""The shapes of proofs. Hashes and entries are base64, as in checkpoints."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gatebook.api.events import Event
from gatebook.api.schemas import Request

Size = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class InclusionQuery(Request, frozen=True):
    """Which event, in the tree of which size; without one in that of the newest checkpoint."""

    position: Size
    size: Size | None = None


class ConsistencyQuery(Request, frozen=True, rename={"from_": "from"}):
    """From which size to which; without one to that of the newest checkpoint."""

    from_: Size
    to: Size | None = None


class InclusionProof(msgspec.Struct, frozen=True):
    """A proof of RFC 9162, 2.1.3. The event at position n is the leaf n - 1.

    `checkpoint` is the note of this size; null for a size that was not signed, or is not kept.
    """

    position: int
    leaf_index: int
    leaf_hash: str
    tree_size: int
    root_hash: str
    inclusion_path: list[str]
    checkpoint: str | None


class ConsistencyProof(msgspec.Struct, frozen=True):
    """A proof of RFC 9162, 2.1.4: the tree of `tree_size_2` begins with that of `tree_size_1`.

    `checkpoint` is the note of the second size; null if there is none.
    """

    tree_size_1: int
    tree_size_2: int
    root_hash_1: str
    root_hash_2: str
    consistency_path: list[str]
    checkpoint: str | None


class EventProof(msgspec.Struct, frozen=True):
    """What makes an event verifiable on its own: its leaf input, its path, and the signed head."""

    leaf: str
    leaf_index: int
    tree_size: int
    inclusion_path: list[str]
    checkpoint: str


class ProvenEvent(Event, frozen=True):
    """An event with its proof; null while no checkpoint covers it."""

    proof: EventProof | None
