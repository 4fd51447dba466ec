"""Where a request comes from: its address, and the class of its program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MAX_HOPS: Final = 32
_LONGEST_AGENT: Final = 512

_AGENTS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("bot", r"bot\b|crawler|spider"),
        ("curl", r"^curl/"),
        ("python", r"python|aiohttp|httpx"),
        ("go", r"^go-http-client"),
        ("node", r"node|axios|undici"),
        ("java", r"java|okhttp|apache-httpclient"),
        ("edge", r"\bedg(e|a|ios)?/"),
        ("chrome", r"chrome/|crios/"),
        ("firefox", r"firefox/|fxios/"),
        ("safari", r"safari/"),
    )
)
"""The first that matches counts: Edge calls itself Chrome, and Chrome calls itself Safari."""


def user_agent_class(header: str | None) -> str:
    """One word of a closed list for a User-Agent header."""
    return _class_of(header[:_LONGEST_AGENT]) if header else "none"


@lru_cache(1024)
def _class_of(header: str) -> str:
    for name, pattern in _AGENTS:
        if pattern.search(header):
            return name
    return "other"


def client_address(peer: str, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The address of whoever speaks.

    The socket's peer, unless that is a trusted proxy: then the rightmost hop of X-Forwarded-For
    that is none. Whatever stands left of a hop that cannot be read was written by anybody.
    """
    if not forwarded_for or not trusted:
        return peer
    address = _address(peer)
    if address is None or not _trusted(address, trusted):
        return peer
    for hop in reversed(forwarded_for.split(",")[-_MAX_HOPS:]):
        found = _address(hop.strip())
        if found is None:
            break
        address = found
        if not _trusted(found, trusted):
            break
    return str(address)


def _trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _address(text: str) -> Address | None:
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1 and "." in bare:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
