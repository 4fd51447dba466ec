"""What a store must offer the writer: one write connection, and transactions on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from gatebook.store.batch import LogRow
from gatebook.store.log_reader import LogTransaction


class Session(Protocol):
    """One write connection. Used by one thread at a time."""

    @property
    def transaction(self) -> LogTransaction: ...

    def begin(self, *, exclusive: bool = False) -> None:
        """`exclusive` takes the append lock. Raises `StoreUnavailable`; then it holds nothing."""
        ...

    def begin_append(self, streams: Collection[UUID]) -> tuple[int, dict[UUID, int]]:
        """An exclusive `begin`. Returns the head, and the versions of the streams that exist."""
        ...

    def insert(self, rows: Sequence[LogRow]) -> None: ...

    def commit(self, head: int | None = None) -> None:
        """`head` is the log's new one, when it moved. Raises `CommitLost` if nobody can know."""
        ...

    def rollback(self) -> None:
        """Raises nothing: a connection that cannot even roll back is closed."""
        ...

    def usable(self) -> bool: ...

    def close(self) -> None: ...
