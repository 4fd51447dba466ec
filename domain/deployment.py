"""The deployment itself: its beginning, and what operators did to it at the command line."""

from __future__ import annotations

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"deployment")


class _DeploymentEvent(Event, frozen=True):
    STREAM = "deployment"
    CATEGORY = "system"


class DeploymentInitialised(_DeploymentEvent, frozen=True):
    """The log begins. `release` is the program's version."""

    TOPIC = "deployment.initialised.1"
    release: str


class ConsoleUsed(_DeploymentEvent, frozen=True):
    """Somebody read from the store at the command line, past the API. `command`: its words."""

    TOPIC = "console.used.1"
    command: str


class ProjectionEventSkipped(_DeploymentEvent, frozen=True):
    """An operator let a projection pass over an event it could not fold."""

    TOPIC = "projection.event_skipped.1"
    projection: str
    position: int


Happening = DeploymentInitialised | ConsoleUsed | ProjectionEventSkipped
