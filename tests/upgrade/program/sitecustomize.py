"""Makes any Gatebook process a newer program: one event more, and read models of a next version.

Python runs it at its start when this directory is on PYTHONPATH.
"""

from __future__ import annotations

import os

import msgspec

from gatebook.domain import catalogue
from tests.upgrade.starred import AccountStarred

catalogue.EVENTS += (AccountStarred,)  # type: ignore[misc]  # before the mapper takes it

from gatebook.projections.registry import projection_named  # noqa: E402  # after that

for _name in os.environ.get("NEWER_READ_MODELS", "").split():
    _projection = projection_named(_name)
    msgspec.structs.force_setattr(_projection, "version", _projection.version + 1)
