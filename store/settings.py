"""The configuration: one frozen struct, decoded once from TOML and the environment.

An unknown key, a wrong type or a half-set pair is refused with one line that names it.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, get_origin
from urllib.parse import urlsplit

import msgspec

from gatebook.store.setting_checks import problems_of
from gatebook.store.setting_sections import (
    AuditSettings,
    BootstrapSettings,
    BreakGlass,
    Duration,
    Limits,
    LockoutSettings,
    MasterKey,
    Outbound,
    PasswordSettings,
    Section,
    Server,
    Sessions,
    Size,
    Store,
    TokenSettings,
    WebAuthn,
    duration_of,
    size_of,
)

THREADS: Final = 24
"""Threads of a worker when none are configured. Most of them wait: for a hash, or for an event."""

PREFIX: Final = "GATEBOOK__"

LARGEST: Final = 64 * 2**10
"""Bytes when dumped: a supervisor lends it to a child that does not read yet."""


class ConfigurationError(Exception):
    """The configuration cannot be used. The message is one line and names the key."""


class StoreAway(ConfigurationError):
    """The store cannot be used now. Later the same configuration may do."""


class Settings(Section, frozen=True):
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
            way = "; say --config or set GATEBOOK_CONFIG, or run: gatebook init"
            hint = way if isinstance(error, FileNotFoundError) else ""
            raise ConfigurationError(f"{file}: {error.strerror}{hint}") from error
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
            raise ConfigurationError(f"{file}: {one_line(error)}{_meant(error)}") from error
        for problem in problems_of(settings):
            raise ConfigurationError(f"{file}: {problem}")
        if len(settings.dumped()) > LARGEST:
            raise ConfigurationError(f"{file} is too large; name networks, not addresses")
        return settings

    def dumped(self) -> bytes:
        """All of it, as `restored` takes it: what a supervisor lends its children."""
        return msgspec.json.encode(self, enc_hook=int)

    @staticmethod
    def restored(dumped: bytes) -> Settings:
        """What `dumped` made."""
        return msgspec.convert(
            msgspec.json.decode(dumped), Settings, dec_hook=lambda kind, value: kind(value)
        )

    def differences(self, other: Settings) -> list[str]:
        """The keys, as `section.key`, that differ from those of another."""
        mine, theirs = (msgspec.to_builtins(one, enc_hook=int) for one in (self, other))
        return [
            f"{section}.{key}"
            for section, held in mine.items()
            if isinstance(held, dict)
            for key, value in held.items()
            if value != theirs[section][key]
        ]

    def fingerprint(self, derive: Callable[..., bytes]) -> bytes:
        """16 bytes that differ when anything does, and tell nothing of it; `derive` is keyed."""
        return derive("configuration", self.dumped())[:16]

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
        server = self.server
        return (server.public_url or f"{server.scheme}://{server.listen}").rstrip("/")

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


def _decode(kind: type, value: Any) -> Any:
    if kind is Duration:
        return duration_of(value)
    if kind is Size:
        return size_of(value)
    raise TypeError(f"no decoder for {kind.__name__}")


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
    if not isinstance(holder, type) or not issubclass(holder, Section):
        return None
    return {field.name: field.type for field in msgspec.structs.fields(holder)}.get(key)


def _value(name: str, text: str, kind: Any) -> Any:
    if kind in (str, Duration, Size):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        hint = '; a list is written ["a", "b"]' if get_origin(kind) in (tuple, list) else ""
        raise ConfigurationError(f"environment: {name} holds no TOML value{hint}") from error


def _meant(error: msgspec.ValidationError) -> str:
    """What an unknown key may be a slip for, in brackets."""
    message, _, where = str(error).partition(" - at `$.")
    if "unknown field" not in message:
        return ""
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    holder = sections.get(where.rstrip("`"), Settings)
    known = [field.name for field in msgspec.structs.fields(holder)]
    near = difflib.get_close_matches(message.split("`")[1], known, 1)
    return f" (is {near[0]} meant?)" if near else ""


def one_line(error: msgspec.ValidationError) -> str:
    """What is wrong with a file, and where in it."""
    message, _, where = str(error).partition(" - at `$")
    place = where.rstrip("`").lstrip(".")
    message = message.replace("Object contains unknown field", "unknown key")
    return f"[{place}] {message}" if place else message
