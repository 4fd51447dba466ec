"""Keeps the tree level with the log and signs its heads: a duty of whoever has the lease.

A head is stored in the transaction that stores its hashes, before anybody is shown it. When a head
that was signed before turns out not to be of this log, nothing more is signed until an operator
has said why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from gatebook.domain import checkpoints
from gatebook.projections import tree_tables as tables
from gatebook.projections.tiles import TilesDamaged
from gatebook.projections.tree import BATCH, Keeper, LogUnlikeTree
from gatebook.store.checkpoint_key import announce, checkpoint_key, recorded_keys
from gatebook.store.checkpoints import CheckpointKey
from gatebook.store.house import House, system
from gatebook.store.tree_heads import Conflict, own_conflict, witness_conflict
from gatebook.store.witness import WitnessDamaged
from gatebook.store.witnesses import Say, Witnesses, silent

TROUBLE_PAUSE = 1.0
PRUNE_EVERY = 64
"""Heads between two looks at those that need not be kept."""


def _always() -> bool:
    return True


class TreeSigner:
    """One turn after the other. `run` ends with its event; `round` may be called on its own."""

    def __init__(self, house: House, say: Say = silent) -> None:
        """`say` is told once when signing stops or a witness cannot be used, and when it ends."""
        self._house = house
        self._say = say
        self._is_stopped = False
        self._store = house.store
        self._keeper = Keeper(house.store)
        self._key: CheckpointKey | None = None
        self._witnesses = Witnesses(house, say)
        self._signed = -1
        self._is_recorded = False
        self._since_pruned = 0

    def run(
        self,
        stop: threading.Event,
        on_trouble: Callable[[Exception], object] = lambda _error: None,
    ) -> None:
        """Signs what is new every `[audit] checkpoint_interval`, until `stop` is set."""
        interval = self._house.settings.audit.checkpoint_interval / 1_000_000
        while not stop.is_set():
            try:
                self.round(lambda: not stop.is_set())
            except Exception as error:  # whatever it is, it must not end the duty
                self._keeper.forget()
                on_trouble(error)
                stop.wait(TROUBLE_PAUSE)
            stop.wait(interval)

    def round(self, go_on: Callable[[], bool] = _always) -> None:
        """Takes in what is new and signs it, unless signing was stopped.

        `go_on` is asked between two batches. Raises what the store raises.
        """
        halted = tables.state(self._store).halted
        self._tell(halted)
        if halted is not None:
            self._stay_halted()
            return
        try:
            if self._keeper.loaded or self._begin(go_on):
                self._advance(go_on)
        except (LogUnlikeTree, TilesDamaged, WitnessDamaged) as error:
            self._distrust(error)

    def _begin(self, go_on: Callable[[], bool]) -> bool:
        """Takes up the tree, levels it, and holds it against the newest head that was signed."""
        house = self._house
        self._key = checkpoint_key(house.keyring)
        announce(house.app, self._store, self._key.verifier, system(), house.clock.now())
        keys = recorded_keys(self._store)
        self._witnesses.begin(keys)
        conflict = own_conflict(self._store, keys)
        if conflict is not None:
            self._conflict(conflict)
            return False
        self._keeper.load()
        head = tables.newest_head(self._store)
        self._signed = head.size if head is not None else 0
        return self._level(go_on, 0)

    def _level(self, go_on: Callable[[], bool], short_of: int) -> bool:
        """Takes in what is new, batch by batch, until no more than `short_of` events are left."""
        while self._keeper.lag() > short_of:
            self._keeper.step()
            if not self._keeper.loaded or not go_on():
                self._keeper.forget()
                return False
        return True

    def _advance(self, go_on: Callable[[], bool]) -> None:
        if not self._level(go_on, BATCH):
            return
        is_news = self._keeper.lag() > 0 or self._keeper.size != self._signed
        if not is_news and not self._witnesses.behind(self._signed):
            return
        for witness, found in self._witnesses.changed():
            conflict = witness_conflict(self._store, witness, found)
            if conflict is not None:
                self._conflict(conflict)
                return
        head = self._keeper.step(self._head) if is_news else tables.newest_head(self._store)
        if head is not None:
            self._signed = head.size
            self._witnesses.send(head)
            self._prune()

    def _head(self, size: int, root: bytes) -> tables.Head:
        assert self._key is not None  # _begin found it
        return tables.Head(size, root, self._key.sign(size, root), self._house.clock.now())

    def _prune(self) -> None:
        self._since_pruned += 1
        if self._since_pruned >= PRUNE_EVERY:
            self._since_pruned = 0
            with self._store.writing() as tx:
                tables.prune_heads(tx)

    def _conflict(self, conflict: Conflict) -> None:
        """Stops first: a log that was cut may take no event until its read models are rebuilt."""
        self._halt(conflict.halt)
        self._record(conflict)

    def _stay_halted(self) -> None:
        """Records what a crash, or a log that took no event, kept from being recorded."""
        self._keeper.forget()
        if self._is_recorded:
            return
        try:
            keys = recorded_keys(self._store)
            self._witnesses.begin(keys)
            conflict = own_conflict(self._store, keys)
            for witness, found in self._witnesses.changed() if conflict is None else ():
                conflict = conflict or witness_conflict(self._store, witness, found)
        except (TilesDamaged, WitnessDamaged):
            conflict = None
        if conflict is not None:
            self._record(conflict)
        self._is_recorded = True

    def _record(self, conflict: Conflict) -> None:
        """Twice is once, until an operator has decided."""
        given = conflict.checkpoint
        event = checkpoints.CheckpointConflicted(
            witness=conflict.witness, size=given.size, root=given.root
        )
        if standing_conflict(self._house) != event:
            self._house.app.record_one(event, checkpoints.STREAM_ID, system())
        self._is_recorded = True

    def _distrust(self, error: Exception) -> None:
        """The log or the tiles are not what they were: a head that was signed may tell which."""
        try:
            conflict = own_conflict(self._store, recorded_keys(self._store))
        except (TilesDamaged, WitnessDamaged):
            conflict = None
        if conflict is not None:
            self._conflict(conflict)
        else:
            self._halt(f"{tables.DAMAGED}: {error}; mend it: gatebook projection rebuild tree")

    def _tell(self, halted: str | None) -> None:
        if halted is not None and not self._is_stopped:
            self._say("signing stopped", {"reason": halted})
        elif halted is None and self._is_stopped:
            self._say("signing goes on", {})
        self._is_stopped = halted is not None

    def _halt(self, reason: str) -> None:
        self._keeper.forget()
        self._is_recorded = False
        with self._store.writing() as tx:
            tables.halt(tx, reason)
        self._tell(reason)


def standing_conflict(house: House) -> checkpoints.CheckpointConflicted | None:
    """The newest conflict that no operator has decided about."""
    for recorded in reversed(house.store.last(checkpoints.STREAM_ID, 100)):
        match recorded.event:
            case checkpoints.CheckpointConflicted() as found:
                return found
            case checkpoints.CheckpointAbandoned():
                return None
            case _:
                continue
    return None


def sign_now(house: House) -> None:
    """Brings the tree level and signs its head, once. For whoever holds the lease for a moment."""
    TreeSigner(house).round()
