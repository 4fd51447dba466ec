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


class ProjectionDrifted(_DeploymentEvent, frozen=True):
    """A read model is not what the log says: `rows` of `table` were found to differ.

    Nothing that Gatebook does leads there: somebody, or the disk, changed them.
    """

    TOPIC = "projection.drifted.1"
    projection: str
    table: str
    rows: int


class ConfigurationReloaded(_DeploymentEvent, frozen=True):
    """Another configuration counts from here on. `changed` names keys, never values.

    `former` and `current` are keyed hashes, 16 bytes each: two that differ tell that something did.
    """

    TOPIC = "configuration.reloaded.1"
    former: bytes
    current: bytes
    changed: tuple[str, ...]


class ConfigurationReloadRefused(_DeploymentEvent, frozen=True):
    """Another configuration was tried and cannot be used; the one before counts."""

    TOPIC = "configuration.reload_refused.1"
    reason: str


class CertificateLoaded(_DeploymentEvent, frozen=True):
    """The listener's certificate from here on: the SHA-256 of it, and when it expires."""

    TOPIC = "certificate.loaded.1"
    fingerprint: bytes
    expires_at: int


Happening = (
    DeploymentInitialised
    | ConsoleUsed
    | ProjectionEventSkipped
    | ProjectionDrifted
    | ConfigurationReloaded
    | ConfigurationReloadRefused
    | CertificateLoaded
)
