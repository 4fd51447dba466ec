"""What goes wrong with read models."""

from __future__ import annotations

from eventsourcing.persistence import OperationalError


class ReadModelBehind(OperationalError):
    """An inline read model does not stand where the log does, so nothing may be appended.

    One of the library's operational errors: to whoever appends, the store is out of order.
    It is missing, halted, of another version, or behind. `gatebook projection rebuild` mends it.
    """

    def __init__(self, name: str, head: int, found: str) -> None:
        super().__init__(f"the read model {name} does not stand at position {head}: {found}")
        self.name = name
        self.head = head


class LogShorter(Exception):
    """A read model has taken in events that the log does not have."""

    def __init__(self, name: str, position: int, head: int) -> None:
        super().__init__(
            f"the log ends at {head}, but the read model {name} has seen event {position}: the log "
            "was cut, or an older copy was restored. Restore the newer copy; or, if the loss is "
            "accepted: gatebook projection rebuild --all --accept-shorter-log"
        )
        self.name = name


class ReadModelNewer(Exception):
    """An inline read model was built by a newer program, whose it stays."""

    def __init__(self, name: str, version: int, wanted: int) -> None:
        super().__init__(
            f"a newer program built the read model {name}: it has version {version} and this "
            f"program needs {wanted}. Run the newer program; or, to go back for good when none of "
            "it runs any more: gatebook projection rebuild --all --accept-newer"
        )
        self.name = name


class NotHalted(Exception):
    """Only a projection that halted can be resumed, or pass over the event it halted at."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"the projection {name} did not halt there: {found}")
        self.name = name


class UnknownProjection(Exception):
    """No projection has that name, or the store has not been made ready for it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no projection {name!r}")
        self.name = name


class FoldFailed(Exception):
    """A projection cannot take in an event. It stops before it and goes on serving what it has."""

    def __init__(self, name: str, position: int, reason: str) -> None:
        super().__init__(f"the projection {name} cannot take in event {position}: {reason}")
        self.name = name
        self.position = position
        self.reason = reason


class EventUnreadable(FoldFailed):
    """The same, because this program does not know the event: a newer one may."""


class SwitchedMeanwhile(Exception):
    """Another process switched the projection to a new generation. Start again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the projection {name} was switched to another generation meanwhile")
        self.name = name
