"""The Merkle tree of RFC 9162, section 2.1: hashes, roots and proofs. Nothing is stored here.

A subtree is complete when it holds 2**height leaves and begins at a multiple of that; it is named
by (height, index). All else is put together from complete subtrees, so that whoever can give the
hash of any of them can prove whatever there is to prove.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""(height, index) -> the hash of that complete subtree. Asked only within the tree's size."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return sha256(b"\x01" + left + right).digest()


def root(size: int, subtree: Subtree) -> bytes:
    """The root of the tree over the first `size` leaves."""
    return _range_hash(0, size, subtree) if size else EMPTY_ROOT


def inclusion_path(leaf: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of a leaf (2.1.3.1), from the leaf up. Raises ValueError outside the tree."""
    if not 0 <= leaf < size:
        raise ValueError(f"there is no leaf {leaf} in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if leaf < middle:
            path.append(_range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(_range_hash(begin, middle, subtree))
            begin = middle
    path.reverse()
    return path


def consistency_path(first: int, second: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of `second` leaves begins with that of `first` (2.1.4.1).

    Raises ValueError unless 0 < first <= second.
    """
    if not 0 < first <= second:
        raise ValueError(f"no proof leads from a tree of {first} to one of {second}")
    path: list[bytes] = []
    begin, end = 0, second
    while first < end:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(_range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(_range_hash(begin, middle, subtree))
            begin = middle
    if begin:  # else what is left is the first tree, whose root the verifier has
        path.append(_range_hash(begin, end, subtree))
    path.reverse()
    return path


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range_hash(begin: int, end: int, subtree: Subtree) -> bytes:
    """The hash over [begin, end), where `begin` is a multiple of the range's largest subtree."""
    parts: list[bytes] = []
    while begin < end:
        height = (end - begin).bit_length() - 1
        parts.append(subtree(height, begin >> height))
        begin += 1 << height
    found = parts.pop()
    while parts:
        found = node_hash(parts.pop(), found)
    return found
