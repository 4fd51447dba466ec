"""Which addresses count as one source."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

_PREFIX_BYTES: Final = 8


@lru_cache(4096)
def network_of(address: str) -> bytes:
    """An IPv4 address; of an IPv6 one the /64, for whoever has one address has all of it.

    What is no address stands for itself.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address.encode()
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return mapped.packed if mapped is not None else found.packed[:_PREFIX_BYTES]
    return found.packed
