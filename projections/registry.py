"""All projections of this program."""

from __future__ import annotations

from typing import Final

from gatebook.projections import accounts, audit, sessions
from gatebook.projections.access import ACCESS
from gatebook.projections.errors import UnknownProjection
from gatebook.projections.projection import Projection

PROJECTIONS: Final[tuple[Projection, ...]] = (
    ACCESS,
    accounts.PROJECTION,
    sessions.PROJECTION,
    audit.PROJECTION,
)


def projection_named(name: str) -> Projection:
    """The projection of that name. Raises UnknownProjection."""
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    raise UnknownProjection(name)
