"""What a projection needs of a store. `store/` implements it, twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from gatebook.domain.envelope import Recorded

Value = bytes | int | str | None
Row = tuple[Value, ...]
Dialect = Literal["sqlite", "postgresql"]


class Reader(Protocol):
    """Statements that read. Parameters are positional, marked `?` in both dialects.

    Values come back as `bytes`, `int`, `str` or `None`, never as a driver's own type.
    A statement must not hold a literal `?` or `%`.
    """

    @property
    def dialect(self) -> Dialect: ...

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterable[Row]:
        """Like `query`, but streamed: memory stays bounded whatever the size of the answer."""
        ...

    def head(self) -> int:
        """The log's last position; 0 when it is empty."""
        ...

    def read_sealed(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """Events with `after < position <= upto`, ascending, decoded, at most `limit`.

        Personal and secret fields are None: no read model holds them, nor depends on their keys.

        MUST raise `UnreadableEvent` (naming the position) at an event this program cannot read,
        after returning, on an earlier call, all events before it.
        """
        ...


class Transaction(Reader, Protocol):
    """A write transaction. Leaving the `with` block commits; an exception rolls back."""

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Returns the number of rows touched."""
        ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Value]]) -> None: ...


class ProjectionStore(Protocol):
    """The store as the projection engine sees it."""

    @property
    def dialect(self) -> Dialect: ...

    def reading(self) -> AbstractContextManager[Reader]:
        """One consistent snapshot: every read inside sees the same head."""
        ...

    def writing(self, *, exclusive: bool = False) -> AbstractContextManager[Transaction]:
        """A write transaction; `exclusive` holds the append lock, so that the head stands still."""
        ...

    def wait(self, position: int, timeout: float) -> int:
        """Waits until the head is past `position`, or for `timeout` seconds. Returns the head."""
        ...


class InlineFold(Protocol):
    """What the appending transaction runs on the events it has just inserted."""

    def apply(self, tx: Transaction, head_before: int, recorded: Sequence[Recorded]) -> None:
        """Folds `recorded` into the inline read models, in the same transaction.

        MUST raise `ReadModelBehind` when an inline read model does not stand at `head_before`.
        """
        ...
