"""The witness files of a configuration, and what the signer does with each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gatebook.projections import tree_tables as tables
from gatebook.store.checkpoints import Checkpoint, VerifierKey
from gatebook.store.house import House
from gatebook.store.settings import Settings
from gatebook.store.witness import Witness, WitnessDamaged

Say = Callable[[str, Mapping[str, str]], object]
"""Told what begins or ends, and its particulars: for the server's own log."""


def silent(_what: str, _fields: Mapping[str, str]) -> None:
    """Nobody listens."""


def witnesses_of(settings: Settings) -> list[Witness]:
    """The files of `[audit] witness_files`, relative to the configuration."""
    return [Witness(name, settings.path(name)) for name in settings.audit.witness_files]


class Attended:
    """A file for the length of a turn. `has`: the size of the newest head in it."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.has = -1
        self.torn = b""
        self.readable = False
        self.told: tuple[bool, str | None] = (False, None)


class Witnesses:
    """Each gets every head, in order. One that fails holds up no other, and not the signing.

    What went wrong with it is in `tree_witnesses`, and makes the service not ready.
    """

    def __init__(self, house: House, say: Say = silent) -> None:
        self._say = say
        self._troubled: dict[str, bool] = {}
        self._store = house.store
        self._now = house.clock.now
        self._settings = house.settings
        self._keys: Mapping[str, VerifierKey] = {}
        self._attended: list[Attended] = []

    def begin(self, keys: Mapping[str, VerifierKey]) -> None:
        """A new turn: every file is looked at again before anything is written to it."""
        self._keys = keys
        self._attended = [Attended(one) for one in witnesses_of(self._settings)]
        if not self._troubled:
            # Of one that a process before this one left in trouble the end is said as well.
            for row in tables.witnesses(self._store):
                self._troubled[row.name] = row.trouble is not None
        with self._store.writing() as tx:
            tables.keep_witnesses(tx, [one.witness.name for one in self._attended])

    def behind(self, size: int) -> bool:
        """Whether one of them has not got the head of that size."""
        return any(one.has < size for one in self._attended)

    def changed(self) -> Iterator[tuple[Witness, list[Checkpoint]]]:
        """Files that are not as they were left, each with the heads of ours at its end."""
        for one in self._attended:
            try:
                if one.readable and not one.witness.changed():
                    continue
                heads, torn = one.witness.heads(self._keys)
            except (WitnessDamaged, OSError) as error:
                one.readable, one.has = False, -1
                self._tell(one, f"cannot be read: {_words(error)}")
                continue
            one.readable, one.torn = True, torn
            one.has = heads[-1].size if heads else -1
            yield one.witness, heads

    def send(self, head: tables.Head) -> None:
        """Appends a head to every file that has not got it, each durable before the next."""
        for one in self._attended:
            if not one.readable:
                continue
            try:
                self._complete(one)
                if one.has < head.size:
                    one.witness.append(head.note)
            except (WitnessDamaged, OSError) as error:
                one.readable, one.has = False, -1
                self._tell(one, f"cannot be written: {_words(error)}")
                continue
            one.has = head.size
            self._tell(one, None)

    def _complete(self, one: Attended) -> None:
        """Finishes a note that was torn: it is the beginning of a head that is stored."""
        if not one.torn:
            return
        for stored in tables.heads(self._store, tables.KEPT):
            if stored.note.encode().startswith(one.torn):
                one.witness.append(stored.note, one.torn)
                one.has, one.torn = stored.size, b""
                return
        raise WitnessDamaged("its last lines are not the beginning of a head of this log")

    def _tell(self, one: Attended, trouble: str | None) -> None:
        """Stores how it went, when that is news."""
        if one.told == (True, trouble):
            return
        row = tables.WitnessRow(one.witness.name, max(one.has, 0), self._now(), trouble)
        with self._store.writing() as tx:
            tables.put_witness(tx, row)
        one.told = (True, trouble)
        self._log(one.witness.name, trouble)

    def _log(self, name: str, trouble: str | None) -> None:
        before, self._troubled[name] = self._troubled.get(name, False), trouble is not None
        if trouble is not None and not before:
            self._say("witness in trouble", {"witness": name, "reason": trouble})
        elif trouble is None and before:
            self._say("witness good again", {"witness": name})


def _words(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
