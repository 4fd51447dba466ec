"""The configuration: one frozen struct, decoded once from TOML and the environment.

An unknown key, a wrong type or a half-set pair is refused with one line that names it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

THREADS: Final = 24
"""Threads of a worker when none are configured. Most of them wait: for a hash, or for an event."""

PREFIX: Final = "GATEBOOK__"
FIRST_USE: Final = "first-use"
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)", re.ASCII)
_MICROSECONDS = {"ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class ConfigurationError(Exception):
    """The configuration cannot be used. The message is one line and names the key."""


class Duration(int):
    """Microseconds, written as `15m` or `8h` in TOML."""


class Size(int):
    """Bytes, written as `64KiB` in TOML."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Server(_Section, frozen=True):
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


class Store(_Section, frozen=True):
    """Where the log is. A SQLite path is relative to the configuration file."""

    url: str = "sqlite:///gatebook.db"


class MasterKey(_Section, frozen=True):
    """Where the master key comes from: exactly one of these."""

    passphrase_env: str = ""
    passphrase_file: str = ""
    key_file: str = ""


class TokenSettings(_Section, frozen=True):
    """Tokens. An empty issuer is the public URL, an empty audience the issuer."""

    issuer: str = ""
    audience: str = ""
    access_lifetime: Duration = Duration(15 * MINUTE)
    refresh_lifetime: Duration = Duration(30 * DAY)
    system_lifetime_max: Duration = Duration(365 * DAY)
    algorithm: str = "ES256"
    clock_skew: Duration = Duration(60 * SECOND)


class Sessions(_Section, frozen=True):
    """How long a browser session lives; roles that count only after a sign-in with two factors."""

    idle: Duration = Duration(HOUR)
    absolute: Duration = Duration(8 * HOUR)
    mfa_required_for: list[str] = []


class PasswordSettings(_Section, frozen=True):
    """The rules for passwords and the cost of one hash."""

    min_bytes: int = 12
    max_bytes: int = 256
    argon2_memory: Size = Size(64 * 2**20)
    argon2_time: int = 3
    argon2_parallelism: int = 4
    blocklist_file: str = ""


class LockoutSettings(_Section, frozen=True):
    """`threshold` failures lock for `duration`; failures older than `reset` are forgotten."""

    threshold: int = 5
    duration: Duration = Duration(15 * MINUTE)
    reset: Duration = Duration(HOUR)


class Limits(_Section, frozen=True):
    """Per source address, and for the hash queue of a worker (0: half its threads, the most)."""

    login_per_minute: int = 5
    login_burst: int = 10
    requests_per_second: int = 0
    hash_queue: int = 0


class BreakGlass(_Section, frozen=True):
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
        return _parse(self.expires_after, _DURATION, _MICROSECONDS, "a duration like 24h")


class BootstrapSettings(_Section, frozen=True):
    """How the first administrator may come."""

    admin_groups: list[str] = []
    oidc_provider: str = ""
    token_file: str = ""


class WebAuthn(_Section, frozen=True):
    """The relying party that passkeys are bound to."""

    rp_id: str = ""
    rp_name: str = "Gatebook"
    origins: list[str] = []


class Outbound(_Section, frozen=True):
    """What requests to identity providers may reach."""

    allow_private: bool = False
    allow_loopback_http: bool = False
    timeout: Duration = Duration(10 * SECOND)
    max_bytes: Size = Size(2**20)


class AuditSettings(_Section, frozen=True):
    """How often the log's head is signed, and where the signatures go."""

    checkpoint_interval: Duration = Duration(SECOND)
    witness_files: list[str] = []


class Settings(_Section, frozen=True):
    """All of it. `directory` is where the file stands; relative paths are taken from there."""

    server: Server = Server()
    store: Store = Store()
    master_key: MasterKey = MasterKey()
    tokens: TokenSettings = TokenSettings()
    sessions: Sessions = Sessions()
    passwords: PasswordSettings = PasswordSettings()
    lockout: LockoutSettings = LockoutSettings()
    limits: Limits = Limits()
    breakglass: BreakGlass = BreakGlass()
    bootstrap: BootstrapSettings = BootstrapSettings()
    webauthn: WebAuthn = WebAuthn()
    outbound: Outbound = Outbound()
    audit: AuditSettings = AuditSettings()
    directory: str = "."

    @staticmethod
    def load(path: str | Path, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads, overrides, decodes and checks. Raises ConfigurationError."""
        file = Path(path)
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}: {error}") from error
        if "directory" in table:
            raise ConfigurationError(f"{file}: unknown key `directory`")
        values = os.environ if environment is None else environment  # noqa: TID251 - read here only
        _override(table, values)
        table["directory"] = str(file.resolve().parent)
        try:
            settings = msgspec.convert(table, Settings, strict=True, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{file}: {_one_line(error)}") from error
        _check(settings, file)
        return settings

    def path(self, relative: str) -> Path:
        """A path from the configuration, made absolute."""
        return Path(self.directory) / relative

    @property
    def store_url(self) -> str:
        """The store's URL with an absolute path."""
        url = self.store.url
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            return "sqlite:///" + str(self.path(url.removeprefix("sqlite:///")))
        return url

    @property
    def worker_threads(self) -> int:
        """Threads of one worker process."""
        return self.server.threads or THREADS

    @property
    def hash_queue(self) -> int:
        """Sign-ins that may wait or hash in one process: half its threads at most.

        Beyond it sign-ins are told to come back, and the other threads answer everybody else.
        """
        half = max(1, self.worker_threads // 2)
        return min(self.limits.hash_queue or half, half)

    @property
    def sign_in_queue(self) -> int:
        """Sign-ins that one process works on at once: most of them wait, for a hash or a turn."""
        return max(1, self.worker_threads * 3 // 4)

    @property
    def public_url(self) -> str:
        """What people reach this service under, without a slash at its end."""
        return (self.server.public_url or f"http://{self.server.listen}").rstrip("/")

    @property
    def issuer(self) -> str:
        """The `iss` of tokens."""
        return self.tokens.issuer or self.public_url

    @property
    def rp_id(self) -> str:
        """The relying party that passkeys are bound to; "" when no name is known for it."""
        host = urlsplit(self.public_url).hostname or ""
        named = self.webauthn.rp_id or host
        try:
            ipaddress.ip_address(named)
        except ValueError:
            return named
        return ""

    @property
    def passkey_origins(self) -> list[str]:
        """The origins whose pages may use passkeys."""
        split = urlsplit(self.public_url)
        return self.webauthn.origins or [f"{split.scheme}://{split.netloc}"]

    @property
    def audience(self) -> str:
        """The `aud` of tokens that name no other."""
        return self.tokens.audience or self.issuer


def split_address(listen: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` as (host, port). Raises ValueError."""
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not host:port")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _decode(kind: type, value: Any) -> Any:
    if kind is Duration:
        return Duration(_parse(value, _DURATION, _MICROSECONDS, "a duration like 15m or 8h"))
    if kind is Size:
        return Size(_parse(value, _SIZE, _BYTES, "a size like 64KiB"))
    raise TypeError(f"no decoder for {kind.__name__}")


def _parse(value: Any, form: re.Pattern[str], units: dict[str, int], wanted: str) -> int:
    match = form.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected {wanted}, got {value!r}")
    return int(match[1]) * units[match[2]]


def _override(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        kind = _kind(section, key)
        if not separator or kind is None:
            raise ConfigurationError(f"environment: {name} names no setting")
        table.setdefault(section, {})[key] = _value(name, text, kind)


def _kind(section: str, key: str) -> Any:
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    holder = fields.get(section)
    if not isinstance(holder, type) or not issubclass(holder, _Section):
        return None
    return {field.name: field.type for field in msgspec.structs.fields(holder)}.get(key)


def _value(name: str, text: str, kind: Any) -> Any:
    if kind in (str, Duration, Size):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"environment: {name}={text!r} is no TOML value") from error


def _one_line(error: msgspec.ValidationError) -> str:
    message, _, where = str(error).partition(" - at `$")
    place = where.rstrip("`").lstrip(".")
    message = message.replace("Object contains unknown field", "unknown key")
    return f"[{place}] {message}" if place else message


def _check(settings: Settings, file: Path) -> None:
    problems = [*_check_server(settings.server), *_check_numbers(settings)]
    sources = [
        name
        for name in ("passphrase_env", "passphrase_file", "key_file")
        if getattr(settings.master_key, name)
    ]
    if len(sources) != 1:
        problems.append(
            "[master_key] needs exactly one of passphrase_env, passphrase_file, key_file; "
            f"it has {' and '.join(sources) or 'none'}"
        )
    if not settings.store.url.startswith(("sqlite:///", "postgresql://")):
        problems.append("[store] url begins with sqlite:/// or postgresql://")
    problems += _check_break_glass(settings.breakglass)
    if settings.tokens.algorithm not in ("ES256", "EdDSA", "RS256"):
        problems.append("[tokens] algorithm is ES256, EdDSA or RS256")
    if problems:
        raise ConfigurationError(f"{file}: {problems[0]}")


def _check_server(server: Server) -> list[str]:
    problems = []
    if server.engine != "waitress":
        problems.append(f"[server] engine {server.engine!r} is not available; use waitress")
    if bool(server.tls_cert) != bool(server.tls_key):
        problems.append("[server] tls_cert and tls_key come together; one is missing")
    elif server.tls_cert:
        problems.append("[server] engine waitress has no TLS; put a TLS proxy in front")
    for key in ("listen", "management_listen"):
        listen = getattr(server, key)
        if not listen and key == "management_listen":
            continue
        try:
            host, _port = split_address(listen)
        except ValueError as error:
            problems.append(f"[server] {key}: {error}")
            continue
        if not is_loopback(host) and not server.behind_tls_proxy:
            problems.append(
                f"[server] {key} {listen} is reached from outside this machine without TLS; "
                "listen on 127.0.0.1, or put a TLS proxy in front and set behind_tls_proxy = true"
            )
    for proxy in server.trusted_proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            problems.append(f"[server] trusted_proxies: {proxy!r} is no address or network")
    return problems


def _check_break_glass(settings: BreakGlass) -> list[str]:
    problems = []
    if settings.lockout_threshold < 1:
        problems.append("[breakglass] lockout_threshold is at least 1")
    try:
        _ = settings.lifetime
    except ValueError as error:
        problems.append(f'[breakglass] expires_after is "", "first-use" or a duration: {error}')
    return problems


def _check_numbers(settings: Settings) -> list[str]:
    passwords = settings.passwords
    rules = {
        "[server] workers and threads are not negative": min(
            settings.server.workers, settings.server.threads
        )
        >= 0,
        "[passwords] min_bytes is 8 to max_bytes": 8 <= passwords.min_bytes <= passwords.max_bytes,
        "[passwords] max_bytes is at most 4096": passwords.max_bytes <= 4096,
        "[passwords] argon2_time and argon2_parallelism are at least 1": min(
            passwords.argon2_time, passwords.argon2_parallelism
        )
        >= 1,
        "[passwords] argon2_memory is at least 8KiB a lane": passwords.argon2_memory
        >= 8 * 1024 * passwords.argon2_parallelism,
        "[lockout] threshold is at least 1": settings.lockout.threshold >= 1,
        "[limits] login_per_minute and login_burst are at least 1": min(
            settings.limits.login_per_minute, settings.limits.login_burst
        )
        >= 1,
        "[sessions] idle and absolute are at least one second": min(
            settings.sessions.idle, settings.sessions.absolute
        )
        >= SECOND,
        "[tokens] lifetimes are at least one second": min(
            settings.tokens.access_lifetime,
            settings.tokens.refresh_lifetime,
            settings.tokens.system_lifetime_max,
        )
        >= SECOND,
    }
    return [rule for rule, kept in rules.items() if not kept]
