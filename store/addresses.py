"""Which addresses a request from here may go to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*written: str) -> tuple[Network, ...]:
    return tuple(ip_network(one) for one in written)


LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
PRIVATE: Final = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"
)
"""RFC 1918, RFC 6598 (carrier-grade NAT) and RFC 4193: reached only where that is allowed."""

NEVER: Final = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:2::/48",
    "2001:db8::/32",
    "fd00:ec2::/32",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
"""Link-local (cloud metadata is there), documentation, benchmarks, multicast, reserved (RFC 6890).

`fd00:ec2::/32` is a cloud's metadata service inside the private range.
"""

_TEREDO: Final = IPv6Network("2001::/32")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def refused(address: Address, *, allow_private: bool, allow_loopback: bool) -> str | None:
    """Why an address may not be reached; None when it may.

    An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is judged as itself.
    """
    inner = _embedded(address)
    if inner is not None:
        return refused(inner, allow_private=allow_private, allow_loopback=allow_loopback)
    if _in(address, NEVER):
        return f"{address} is link-local, reserved or multicast"
    if _in(address, LOOPBACK):
        return None if allow_loopback else f"{address} is this machine itself"
    if _in(address, PRIVATE):
        return None if allow_private else f"{address} is in a private network"
    return None


def _in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    if address in _TEREDO:
        return address.teredo[1] if address.teredo is not None else None
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
