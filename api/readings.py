"""Whoever reads the log is recorded, before he has the answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from gatebook.api.call import Call
from gatebook.domain.readings import Kind


def note(call: Call[Any, Any], kind: Kind, account_id: UUID | None = None) -> None:
    """Records that the caller reads, about an account or about none. For every audit handler.

    At the command line `console.used` says so already. Raises StoreUnavailable: then there is no
    answer.
    """
    if call.site.operator is None:
        call.house.readings.note(call.by(), kind, account_id, call.now)
