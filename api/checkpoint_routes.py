"""The routes of checkpoints, proofs and tiles."""

from __future__ import annotations

from typing import Final

from gatebook.api import checkpoint_schemas as s
from gatebook.api import checkpoints, decision, tiles
from gatebook.api import decision_schemas as d
from gatebook.api.route import PUBLIC, Route, needs

# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
PROOFS: Final = (
    Route("GET", "/v1/audit/events/{position}", checkpoints.event,
          needs("audit.read"), "Show one event with its inclusion proof",
          {200: s.ProvenEvent}),
    Route("GET", "/v1/audit/events/{position}/decision", decision.decision,
          needs("audit.read"), "Make the decision that an event recorded again",
          {200: d.RemadeDecision}),
    Route("GET", "/v1/audit/events/{position}/changes", decision.changed,
          needs("audit.read"), "What an event changed, field by field",
          {200: d.ChangedFields}),
    Route("GET", "/v1/audit/checkpoint", checkpoints.checkpoint,
          PUBLIC, "The newest signed head of the log: a C2SP checkpoint",
          {200: None}, media_type=checkpoints.PLAIN, problems=("not-found",)),
    Route("GET", "/v1/audit/checkpoint/key", checkpoints.key,
          PUBLIC, "The key that checkpoints are verified with, as a signed-note verifier key",
          {200: None}, media_type=checkpoints.PLAIN),
    Route("GET", "/v1/audit/proof/inclusion", checkpoints.inclusion,
          PUBLIC, "Prove that an event is in the log (RFC 9162)",
          {200: s.InclusionProof}, query=s.InclusionQuery, problems=("not-found",)),
    Route("GET", "/v1/audit/proof/consistency", checkpoints.consistency,
          PUBLIC, "Prove that the log only grew between two sizes (RFC 9162)",
          {200: s.ConsistencyProof}, query=s.ConsistencyQuery, problems=("not-found",)),
)
# fmt: on


def _paths(prefix: str) -> list[str]:
    """A tile's index has one part for each three digits, and a partial one a width behind it."""
    names = [f"{{{name}}}" for name in tiles.PARTS]
    return [f"{prefix}/{'/'.join(names[:count])}" for count in range(1, len(names) + 1)]


TILES: Final = (
    Route(
        "GET",
        "/tlog/checkpoint",
        checkpoints.checkpoint,
        PUBLIC,
        "The newest signed head, where C2SP tlog-tiles has it",
        {200: None},
        media_type=checkpoints.PLAIN,
        problems=("not-found",),
    ),
    *(
        Route(
            "GET",
            path,
            tiles.hashes,
            PUBLIC,
            "Hashes of the tree (C2SP tlog-tiles)",
            {200: None},
            media_type=tiles.OCTETS,
        )
        for path in _paths("/tlog/tile/{level}")
    ),
    *(
        Route(
            "GET",
            path,
            tiles.entries,
            needs("audit.read"),
            "Events as the tree hashes them (C2SP tlog-tiles)",
            {200: None},
            media_type=tiles.OCTETS,
        )
        for path in _paths("/tlog/tile/entries")
    ),
)

CHECKPOINTS: Final = (*PROOFS, *TILES)
