"""A bounded stack of connections: the one used last is used next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from eventsourcing.persistence import InterfaceError, OperationalError

from gatebook.store.faults import StoreUnavailable
from gatebook.store.permits import Permits


class Poolable(Protocol):
    """What a pool keeps."""

    def usable(self) -> bool:
        """False when it must be replaced: closed, or its database is no longer the one opened."""
        ...

    def close(self) -> None: ...


C = TypeVar("C", bound=Poolable)


class Pool(Generic[C]):
    """Opens in the caller's thread, so that a store that is gone is an error at once."""

    def __init__(self, connect: Callable[[], C], *, limit: int, timeout: float = 5.0) -> None:
        self._connect = connect
        self._idle: deque[C] = deque()
        self._free = Permits(limit)
        self._limit = limit
        self._timeout = timeout
        self._closed = False

    def take(self) -> C:
        """Raises `OperationalError` when none came free in time, and what opening one raises."""
        if not self._free.take(self._timeout):
            raise OperationalError(
                f"all {self._limit} connections stayed busy for {self._timeout:g} s"
            )
        try:
            return self._usable()
        except BaseException:
            self._free.give()
            raise

    def give(self, connection: C) -> None:
        self._idle.append(connection)
        if self._closed:
            self.drop_idle()
        self._free.give()

    def drop(self, connection: C) -> None:
        """Instead of `give`, for a connection that failed."""
        try:
            connection.close()
        finally:
            self._free.give()

    @contextmanager
    def lend(self) -> Iterator[C]:
        """A connection for the length of the block; it is dropped when the store fails in it."""
        connection = self.take()
        with self.keeping(connection):
            yield connection

    @contextmanager
    def keeping(self, connection: C) -> Iterator[None]:
        """Gives a taken connection back at the end of the block, or drops it as `lend` does."""
        try:
            yield
        except StoreUnavailable:
            self.drop(connection)
            raise
        except BaseException:
            self.give(connection)
            raise
        else:
            self.give(connection)

    def drop_idle(self) -> None:
        """After one connection was found dead: its neighbours most likely are."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return
            connection.close()

    def close(self) -> None:
        """Closes the idle ones now and those in use when they are given back."""
        self._closed = True
        self.drop_idle()

    def _usable(self) -> C:
        if self._closed:
            raise InterfaceError("the store is closed")
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if connection.usable():
                return connection
            connection.close()
