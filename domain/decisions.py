"""A recorded decision made again: by the same pure functions, from the same inputs.

What a decision was made from is in the log: the states of streams as they stood, the policy by its
version, and in the event itself whatever was found out of doors and is no secret (whether a
password matched, which key was named). What cannot be known any more is said, and not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import msgspec

from gatebook.domain import policy, role, signing_keys
from gatebook.domain.account import Account
from gatebook.domain.envelope import Recorded
from gatebook.domain.errors import Refusal
from gatebook.domain.event import Event
from gatebook.domain.folds import Standing
from gatebook.domain.policy import Policy

Outcome = Literal["agrees", "disagrees", "unknown", "no-decision"]


class Before(Protocol):
    """The log as it stood when an event was about to be recorded."""

    def of(self, stream: str, stream_id: UUID) -> Standing:
        """A stream of a kind, folded as far as the event that is looked at, without it."""
        ...

    def policy(self, version: int) -> Policy | None:
        """The policy of a version; None when the log has no such one."""
        ...

    def together(self) -> Sequence[Recorded]:
        """The events of the same append, this one among them."""
        ...


class Unknown(Exception):
    """What a decision was made from cannot be known any more, or was never recorded."""


class Case:
    """An event and what it was decided from. `inputs` fills as a judge looks at them."""

    def __init__(self, recorded: Recorded, before: Before) -> None:
        self.recorded = recorded
        self.before = before
        self.inputs: dict[str, Any] = {}

    @property
    def at(self) -> int:
        """When it was decided, in microseconds."""
        return self.recorded.metadata.at

    @property
    def own(self) -> Any:
        """The state of the event's own stream, without the event."""
        standing = self.before.of(self.recorded.event.STREAM, self.recorded.stream_id)
        self.saw("stream_version", standing.version)
        return standing.state

    def of(self, stream: str, stream_id: UUID) -> Any:
        """The state of another stream."""
        return self.before.of(stream, stream_id).state

    def account(self, account_id: UUID) -> Account:
        """An account, as it stood."""
        found: Account = self.of("account", account_id)
        self.saw("account_status", found.status)
        self.saw("account_epoch", found.epoch)
        return found

    def policy(self, version: int | None = None) -> Policy:
        """The policy of a version, or the one in force. Raises Unknown."""
        if version is None:
            standing = self.before.of("policy", policy.STREAM_ID)
            version, found = standing.version, standing.state.policy
        else:
            found = self.before.policy(version)
        self.saw("policy_version", version)
        if not isinstance(found, Policy):
            raise Unknown(f"The log has no policy of version {version}.")
        return found

    def policies(self) -> list[Policy]:
        """The policy in force, and the one before it.

        Events that name no version may have been decided by a process that had not yet adopted the
        newest, while others had. Raises Unknown.
        """
        in_force = self.policy()
        former = self.before.policy(self.inputs["policy_version"] - 1)
        return [in_force] if former is None else [in_force, former]

    def signing_key(self) -> str:
        """The key that signed. Raises Unknown when there was none."""
        ring: signing_keys.Ring = self.of("signing-keys", signing_keys.STREAM_ID)
        key = ring.signing(self.at) or ring.coming(self.at)
        if key is None:
            raise Unknown("The log knows no signing key of that time.")
        self.saw("signing_key", key.kid)
        return key.kid

    def saw(self, name: str, value: Any) -> None:
        """Notes an input, for whoever asks what the decision was made from."""
        self.inputs[name] = value


Judge = Callable[[Case, Any], Sequence[Event]]
"""(case, event) to the events that are decided now. Raises a Refusal, or Unknown."""


class Redecided(msgspec.Struct, frozen=True):
    """What a decision was, and what it is when made again.

    `now` are the events that the same function gives; `refusal` is why it would refuse instead.
    `why` says why it cannot be told, or that the event is nobody's decision.
    """

    outcome: Outcome
    now: tuple[Event, ...] = ()
    refusal: str = ""
    why: str = ""
    inputs: dict[str, Any] = {}


FACTS: Final[dict[str, str]] = {
    "command": "It remembers an answer; the command's own events are its decisions.",
    "deployment": "It says what happened to the deployment.",
    "custody": "It says what was done with keys or copies.",
    "checkpoints": "It says what became of signed heads.",
    "audit-readings": "It says that somebody read.",
    "federated-failures": "What the provider said was not recorded, only why it was refused.",
    "logout-token": "What the provider said was not recorded, only that it was heeded.",
}
"""Streams that hold what happened, not what a pure function decided."""


def redecide(recorded: Recorded, before: Before, judges: dict[type[Event], Judge]) -> Redecided:
    """Makes the decision of an event again."""
    event = recorded.event
    judge = judges.get(type(event))
    if judge is None:
        return Redecided("no-decision", why=FACTS.get(event.STREAM, "It says what happened."))
    case = Case(recorded, before)
    case.saw("at", case.at)
    try:
        now = tuple(judge(case, event))
    except Unknown as gap:
        return Redecided("unknown", why=str(gap), inputs=case.inputs)
    except Refusal as refusal:
        return Redecided("disagrees", refusal=refusal.detail, inputs=case.inputs)
    outcome: Outcome = "agrees" if event in now else "disagrees"
    return Redecided(outcome, now, inputs=case.inputs)


def held(state: Account) -> bool:
    """Whether an account could have anything: it is neither absent nor gone."""
    return state.status in ("active", "inactive")


def granted(case: Case, account_id: UUID, *, lasting: bool = False) -> frozenset[str]:
    """The permissions that an account held; with `lasting` those that it held without an end."""
    state = case.account(account_id)
    if state.status != "active":
        return frozenset()
    found: set[str] = set()
    for grant in state.grants.values():
        defined: role.Role = case.of("role", role.stream_id(grant.role))
        counts = grant.holds(case.at) and defined.generation == grant.generation
        if counts and not (lasting and grant.expires_at is not None):
            found.update(defined.permissions or ())
    return frozenset(found)


def personal(event: Event) -> Any:
    """The sealed part of an event. Raises Unknown once it is erased."""
    name = event.PERSONAL or event.SECRET
    found = getattr(event, name) if name is not None else None
    if found is None:
        raise Unknown("It was decided from personal data that is erased.")
    return found
