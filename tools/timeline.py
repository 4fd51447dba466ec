"""An account's life out of its events, as the API shows them: moments, and states as bands.

Pure: events in, bands and moments out. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from gatebook.tools.export_table import AUTHENTICATION, KINDS, title_of

Group = Literal["Status", "Roles", "Locks", "Sessions", "Credentials"]
GROUPS: Final[tuple[Group, ...]] = ("Status", "Roles", "Locks", "Sessions", "Credentials")
Tone = Literal["good", "bad", "change", "quiet"]

ENDS_SESSIONS: Final = frozenset(
    {"account.deactivated", "account.deleted", "account.erased", "account.tokens_revoked"}
)
LOGON, TICKET = 1, 3
"""Activities of OCSF's Authentication by which somebody is let in."""

METHODS: Final = {
    "password": "Password locked",
    "totp": "One-time codes locked",
    "recovery-code": "Recovery codes locked",
    "passkey": "Passkeys locked",
    "break-glass": "Break-glass locked",
}
ORIGINS: Final = {
    "login": "Password",
    "passkey": "Passkey",
    "bootstrap": "First administrator",
    "break-glass": "Break-glass",
    "federation": "Identity provider",
}


class Moment(msgspec.Struct):
    """An event in words."""

    position: int
    at: int
    type: str
    category: str
    tone: Tone
    text: str
    actor: str
    event: dict[str, Any]


class Band(msgspec.Struct):
    """A state from `begin` to `end`, None while it lasts. `position`: the event that began it.

    `until`: when it ends by itself, if it does.
    """

    group: Group
    row: str
    label: str
    kind: str
    begin: int
    end: int | None
    position: int
    until: int | None = None
    ended_by: int | None = None


def moment(event: dict[str, Any], text: str | None, actor: str) -> Moment:
    """An event as a moment; `text` is the history's sentence, if it has one."""
    return Moment(
        position=event["position"],
        at=microseconds(event["recorded_at"]),
        type=event["type"],
        category=event["category"],
        tone=_tone(event),
        text=text or title_of(event["type"]) + ".",
        actor=actor,
        event=event,
    )


def microseconds(written: str) -> int:
    """RFC 3339 to microseconds."""
    at = datetime.fromisoformat(written)
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _tone(event: dict[str, Any]) -> Tone:
    kind = KINDS.get(event["type"])
    if kind is None or kind.severity < 2:
        return "quiet"
    if kind.outcome == "failure" or kind.severity >= 8:
        return "bad"
    if kind.ocsf is AUTHENTICATION:
        return "good" if kind.activity in (LOGON, TICKET) else "quiet"
    return "change" if event["category"] in ("account", "access", "credential") else "quiet"


class Life(msgspec.Struct):
    """An account with its moments and bands from `begin` to `end`.

    `left_out`: moments of that time that are not shown, the oldest of them.
    """

    account: dict[str, Any]
    begin: int
    end: int
    now: int
    moments: list[Moment]
    bands: list[Band]
    left_out: int


class Bands:
    """Folds an account's events, in their order, into bands."""

    def __init__(self) -> None:
        self.all: list[Band] = []
        self._open: dict[tuple[Group, str], Band] = {}
        self._kept: dict[str, Band] = {}
        self._folds: dict[str, Callable[[dict[str, Any], int], object]] = {
            "role.granted": self._granted,
            "role.revoked": lambda e, at: self._end("Roles", e["data"]["role"], e, at),
            "login.failed": self._failed,
            "breakglass.login_failed": self._failed,
            "lockout.cleared": self._cleared,
            "session.opened": self._opened,
            "session.kept": self._reopened,
            "session.ended": lambda e, at: self._end("Sessions", e["stream"]["id"], e, at),
            "passkey.registered": self._credential("Passkey"),
            "passkey.removed": self._gone,
            "totp.confirmed": self._credential("One-time codes"),
            "totp.removed": self._gone,
            "recovery_codes.generated": self._credential("Recovery codes"),
            "recovery_codes.removed": self._gone,
            "breakglass.credential_set": self._credential("Break-glass password"),
            "breakglass.credential_removed": self._gone,
            "breakglass.credential_expired": self._gone,
            "api_key.created": self._credential("API key"),
            "api_key.revoked": self._gone,
            "password.set": self._credential("Password"),
            "password.removed": self._gone,
        }

    def fold(self, event: dict[str, Any]) -> None:
        """Takes the next event in."""
        at = microseconds(event["recorded_at"])
        status = _status(event)
        if status is not None:
            self._end("Status", "status", event, at)
            self._begin("Status", "status", status, status, event, at)
        if event["type"] in ENDS_SESSIONS:
            self._end_sessions(event, at)
        if event["type"] == "account.erased":
            for group, row in [key for key in self._open if key[0] in ("Roles", "Credentials")]:
                self._end(group, row, event, at)
        known = self._folds.get(event["type"])
        if known is not None:
            known(event, at)

    def _begin(
        self, group: Group, row: str, label: str, kind: str, event: dict[str, Any], at: int
    ) -> Band:
        band = Band(group, row, label, kind, at, None, event["position"])
        self.all.append(band)
        self._open[group, row] = band
        return band

    def _end(self, group: Group, row: str, event: dict[str, Any], at: int) -> Band | None:
        band = self._open.pop((group, row), None)
        if band is not None and (band.until is None or at < band.until):
            band.end, band.ended_by = at, event["position"]
        return band

    def _granted(self, event: dict[str, Any], at: int) -> None:
        role = event["data"]["role"]
        band = self._open.get(("Roles", role))
        if band is None or (band.until is not None and band.until <= at):
            band = self._begin("Roles", role, role, "role", event, at)
        band.until = _until(event)

    def _failed(self, event: dict[str, Any], at: int) -> None:
        until = event["data"].get("locked_until")
        if until is None:
            return
        method = event["data"]["method"]
        label = METHODS.get(method, f"{method} locked")
        row = f"{method} {event['stream']['id']}"
        self._end("Locks", row, event, at)
        self._begin("Locks", row, label, "lock", event, at).until = microseconds(until)

    def _cleared(self, event: dict[str, Any], at: int) -> None:
        self._end("Locks", f"{event['data']['method']} {event['stream']['id']}", event, at)

    def _opened(self, event: dict[str, Any], at: int) -> None:
        data, sid = event["data"], event["stream"]["id"]
        label = ORIGINS.get(data["origin"], data["origin"])
        if "mfa" in data["amr"]:
            label += ", two factors"
        self._begin("Sessions", sid, label, "session", event, at).until = _until(event)

    def _end_sessions(self, event: dict[str, Any], at: int) -> None:
        self._kept = {}
        for group, row in [key for key in self._open if key[0] == "Sessions"]:
            band = self._end(group, row, event, at)
            if band is not None and band.ended_by == event["position"]:
                self._kept[row] = band

    def _reopened(self, event: dict[str, Any], _at: int) -> None:
        band = self._kept.pop(event["stream"]["id"], None)
        if band is not None:
            band.end = band.ended_by = None
            self._open["Sessions", event["stream"]["id"]] = band

    def _credential(self, label: str) -> Callable[[dict[str, Any], int], object]:
        def begin(event: dict[str, Any], at: int) -> None:
            row = event["stream"]["id"]
            self._end("Credentials", row, event, at)
            self._begin("Credentials", row, label, "credential", event, at).until = _until(event)

        return begin

    def _gone(self, event: dict[str, Any], at: int) -> None:
        self._end("Credentials", event["stream"]["id"], event, at)


def _status(event: dict[str, Any]) -> str | None:
    """The status that an account has from this event on; None when it stays."""
    if event["type"] == "account.restored":
        return str(event["data"]["status"])
    return {
        "account.created": "active",
        "account.activated": "active",
        "account.deactivated": "inactive",
        "account.deleted": "deleted",
        "account.erased": "erased",
    }.get(event["type"])


def _until(event: dict[str, Any]) -> int | None:
    written = event["data"].get("expires_at")
    return None if written is None else microseconds(written)


class Row(msgspec.Struct):
    """Bands that stand on one line."""

    group: Group
    label: str
    bands: list[Band]


def rows(bands: list[Band], now: int, most: int = 12) -> list[Row]:
    """Bands on as few lines as they need, at most `most` of a group: the last takes the rest."""
    found: list[Row] = []
    for group in GROUPS:
        lines: list[Row] = []
        for band in (one for one in bands if one.group == group):
            line = next((one for one in lines if _fits(one, band, now)), None)
            if line is None and len(lines) >= most:
                line = lines[-1]
            if line is None:
                line = Row(group, band.label if group in ("Roles", "Credentials") else group, [])
                lines.append(line)
            line.bands.append(band)
        found += lines
    return found


def end_of(band: Band, now: int) -> int:
    """Until when it lasted, or lasts: not beyond now."""
    return min(end for end in (band.end, band.until, now) if end is not None)


def _fits(line: Row, band: Band, now: int) -> bool:
    """On one line stand bands of one role or kind, or sessions one after the other."""
    if band.group in ("Roles", "Credentials") and line.label != band.label:
        return False
    return end_of(line.bands[-1], now) <= band.begin
