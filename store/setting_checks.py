"""What settings must not be, beyond their types: the rules that can be checked without a store."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatebook.store.setting_sections import HOUR, SECOND, BreakGlass, MasterKey, Server

if TYPE_CHECKING:
    from gatebook.store.settings import Settings


def problems_of(settings: Settings) -> list[str]:
    """One line for each rule that is broken, naming the key."""
    problems = [*_check_server(settings.server), *_check_numbers(settings)]
    problems += _check_master_key(settings.master_key)
    if not settings.store.url.startswith(("sqlite:///", "postgresql://")):
        problems.append("[store] url begins with sqlite:/// or postgresql://")
    problems += _check_break_glass(settings.breakglass)
    if settings.tokens.algorithm not in ("ES256", "EdDSA", "RS256"):
        problems.append("[tokens] algorithm is ES256, EdDSA or RS256")
    return problems


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


def _check_master_key(settings: MasterKey) -> list[str]:
    sources = [
        name
        for name in ("passphrase_env", "passphrase_file", "key_file")
        if getattr(settings, name)
    ]
    if len(sources) == 1:
        return []
    return [
        "[master_key] needs exactly one of passphrase_env, passphrase_file, key_file; "
        f"it has {' and '.join(sources) or 'none'}"
    ]


def _check_server(server: Server) -> list[str]:
    problems = []
    if server.engine not in ("waitress", "granian"):
        problems.append(f"[server] engine is waitress or granian, not {server.engine!r}")
    if server.engine == "granian" and server.trusted_proxies:
        # It hands X_Forwarded_For on under the name of X-Forwarded-For, whoever sent it.
        problems.append(
            "[server] trusted_proxies needs engine waitress: granian faces the network itself"
        )
    if bool(server.tls_cert) != bool(server.tls_key):
        problems.append("[server] tls_cert and tls_key come together; one is missing")
    elif server.tls_cert and server.engine == "waitress":
        problems.append(
            '[server] engine waitress has no TLS: engine = "granian", or a TLS proxy in front'
        )
    for key in ("listen", "management_listen"):
        listen = getattr(server, key)
        if not listen and key == "management_listen":
            continue
        try:
            host, _port = split_address(listen)
        except ValueError as error:
            problems.append(f"[server] {key}: {error}")
            continue
        has_tls = server.behind_tls_proxy or (bool(server.tls_cert) and key == "listen")
        if not is_loopback(host) and not has_tls:
            problems.append(
                f"[server] {key} {listen} is reached from outside this machine without TLS; "
                "listen on 127.0.0.1, or put a TLS proxy in front and set behind_tls_proxy = true"
            )
    for proxy in server.trusted_proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            problems.append(f"[server] trusted_proxies: {proxy!r} is no address or network")
    return problems + _check_public_url(server)


def _check_public_url(server: Server) -> list[str]:
    url = server.public_url
    if url and not _is_base(url):
        return ["[server] public_url is like https://auth.example.org, without a path or a query"]
    if url.startswith("http://") and server.is_secure:
        return ["[server] public_url is http, though TLS is spoken: write https://"]
    try:
        is_reached = not is_loopback(split_address(server.listen)[0])
    except ValueError:
        return []
    if is_reached and not url:
        # Else the issuer of tokens and the links would name the address that is listened on.
        return [f"[server] listen {server.listen} is reached from outside: public_url is missing"]
    return []


def _is_base(url: str) -> bool:
    """Whether links, the issuer, pages and the origin of passkeys can be made from a URL."""
    try:
        split = urlsplit(url)
        port_is_good = split.port != 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(' \\@?#"<>') & set(url)
    has_path = split.path not in ("", "/")
    named = split.scheme in ("http", "https") and bool(split.hostname)
    return plain and port_is_good and named and not has_path


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
        "[server] workers is 0 to 256, threads 0 to 1000": 0 <= settings.server.workers <= 256
        and 0 <= settings.server.threads <= 1000,
        "[passwords] min_bytes is 8 to max_bytes": 8 <= passwords.min_bytes <= passwords.max_bytes,
        "[passwords] max_bytes is at most 4096": passwords.max_bytes <= 4096,
        "[passwords] argon2_time and argon2_parallelism are 1 to 64": 1
        <= min(passwords.argon2_time, passwords.argon2_parallelism)
        <= max(passwords.argon2_time, passwords.argon2_parallelism)
        <= 64,
        "[passwords] argon2_memory is at most 4GiB": passwords.argon2_memory <= 4 * 2**30,
        "[passwords] argon2_memory is at least 8KiB a lane": passwords.argon2_memory
        >= 8 * 1024 * passwords.argon2_parallelism,
        "[lockout] threshold is at least 1": settings.lockout.threshold >= 1,
        "[limits] login_per_minute and login_burst are at least 1": min(
            settings.limits.login_per_minute, settings.limits.login_burst
        )
        >= 1,
        "[audit] checkpoint_interval is 100ms to 1h": SECOND // 10
        <= settings.audit.checkpoint_interval
        <= 3600 * SECOND,
        "[sessions] idle and absolute are at least one second": min(
            settings.sessions.idle, settings.sessions.absolute
        )
        >= SECOND,
        "[tokens] signing_key_age is 0s, or at least 1h": settings.tokens.signing_key_age == 0
        or settings.tokens.signing_key_age >= HOUR,
        "[tokens] lifetimes are at least one second": min(
            settings.tokens.access_lifetime,
            settings.tokens.refresh_lifetime,
            settings.tokens.system_lifetime_max,
        )
        >= SECOND,
    }
    return [rule for rule, kept in rules.items() if not kept]
