"""The sections of the configuration, each key with its type and its default."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

FIRST_USE: Final = "first-use"

_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)", re.ASCII)
_MICROSECONDS = {"ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Duration(int):
    """Microseconds, written as `15m` or `8h` in TOML."""


class Size(int):
    """Bytes, written as `64KiB` in TOML."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the file: closed."""


MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Server(Section, frozen=True):
    """Where and how requests are served. `workers` 0: one a core; `threads` 0: 24 a worker."""

    engine: str = "waitress"
    listen: str = "127.0.0.1:8440"
    management_listen: str = ""
    public_url: str = ""
    workers: int = 0
    threads: int = 0
    trusted_proxies: list[str] = []
    behind_tls_proxy: bool = False
    tls_cert: str = ""
    tls_key: str = ""
    max_body: Size = Size(64 * 2**10)

    @property
    def scheme(self) -> str:
        """What the listener itself speaks."""
        return "https" if self.tls_cert else "http"

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by https: to the listener, or to a proxy before it."""
        by_https = self.public_url.startswith("https://")
        return by_https or bool(self.tls_cert) or self.behind_tls_proxy


class Store(Section, frozen=True):
    """Where the log is. A SQLite path is relative to the configuration file."""

    url: str = "sqlite:///gatebook.db"


class MasterKey(Section, frozen=True):
    """Where the master key comes from: exactly one of these."""

    passphrase_env: str = ""
    passphrase_file: str = ""
    key_file: str = ""


class TokenSettings(Section, frozen=True):
    """Tokens. An empty issuer is the public URL, an empty audience the issuer.

    `signing_key_age` 0: a key signs until it is rotated by hand.
    """

    issuer: str = ""
    audience: str = ""
    access_lifetime: Duration = Duration(15 * MINUTE)
    refresh_lifetime: Duration = Duration(30 * DAY)
    system_lifetime_max: Duration = Duration(365 * DAY)
    algorithm: str = "ES256"
    signing_key_age: Duration = Duration(90 * DAY)
    clock_skew: Duration = Duration(60 * SECOND)


class Sessions(Section, frozen=True):
    """How long a browser session lives; roles that count only after a sign-in with two factors."""

    idle: Duration = Duration(HOUR)
    absolute: Duration = Duration(8 * HOUR)
    mfa_required_for: list[str] = []


class PasswordSettings(Section, frozen=True):
    """The rules for passwords and the cost of one hash."""

    min_bytes: int = 12
    max_bytes: int = 256
    argon2_memory: Size = Size(64 * 2**20)
    argon2_time: int = 3
    argon2_parallelism: int = 4
    blocklist_file: str = ""


class LockoutSettings(Section, frozen=True):
    """`threshold` failures lock for `duration`; failures older than `reset` are forgotten."""

    threshold: int = 5
    duration: Duration = Duration(15 * MINUTE)
    reset: Duration = Duration(HOUR)


class Limits(Section, frozen=True):
    """Per source address, and for the hash queue of a worker (0: half its threads, the most)."""

    login_per_minute: int = 5
    login_burst: int = 10
    requests_per_second: int = 0
    hash_queue: int = 0


class BreakGlass(Section, frozen=True):
    """The emergency credential; off unless enabled.

    `expires_after`: "" (never), "first-use", or a duration like "24h" from when it was set.
    """

    enabled: bool = False
    lockout_threshold: int = 5
    lockout_duration: Duration = Duration(15 * MINUTE)
    lockout_reset: Duration = Duration(HOUR)
    expires_after: str = ""

    @property
    def once(self) -> bool:
        """Whether its first use ends a credential."""
        return self.expires_after == FIRST_USE

    @property
    def lifetime(self) -> int | None:
        """Microseconds that a credential counts for; None: no end."""
        if self.expires_after in ("", FIRST_USE):
            return None
        return int(duration_of(self.expires_after))


class BootstrapSettings(Section, frozen=True):
    """How the first administrator may come."""

    admin_groups: list[str] = []
    oidc_provider: str = ""
    token_file: str = ""


class WebAuthn(Section, frozen=True):
    """The relying party that passkeys are bound to."""

    rp_id: str = ""
    rp_name: str = "Gatebook"
    origins: list[str] = []


class Outbound(Section, frozen=True):
    """What requests to identity providers may reach."""

    allow_private: bool = False
    allow_loopback_http: bool = False
    timeout: Duration = Duration(10 * SECOND)
    max_bytes: Size = Size(2**20)


class AuditSettings(Section, frozen=True):
    """How often the log's head is signed, and where the signatures go."""

    checkpoint_interval: Duration = Duration(SECOND)
    witness_files: list[str] = []


def duration_of(value: Any) -> Duration:
    """Microseconds from text like `15m`. Raises ValueError."""
    wanted = "a duration like 15m or 8h, 36500d at most"
    return Duration(_parse(value, _DURATION, _MICROSECONDS, wanted, 36_500 * DAY))


def size_of(value: Any) -> Size:
    """Bytes from text like `64KiB`. Raises ValueError."""
    return Size(_parse(value, _SIZE, _BYTES, "a size like 64KiB, 1024GiB at most", 2**40))


def _parse(value: Any, form: re.Pattern[str], units: dict[str, int], wanted: str, most: int) -> int:
    match = form.fullmatch(value) if isinstance(value, str) and len(value) < 32 else None
    number = int(match[1]) * units[match[2]] if match is not None else most + 1
    if number > most:
        raise ValueError(f"expected {wanted}, got {value!r}")
    return number
