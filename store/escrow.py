"""The master key in shares: any k of n give it back, fewer tell nothing (SLIP-39, over GF(256)).

`shamir-mnemonic` is the reference implementation of the standard that hardware wallets share.
It does not hide its timing, which nobody can measure here: one run, by hand, on the operator's
own machine. Its complaints quote words of a share, so they are never passed on.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Sequence
from typing import Final

import msgspec
from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics

from gatebook.store.master_record import KEY_BYTES, MasterKey

MOST: Final = 16
"""Shares of one set, as the standard has it."""

MOST_TRIES: Final = 2_000
"""Choices of shares that are tried when some are forged."""

_WORDS: Final = "words:"
_WORD: Final = re.compile(r"[a-z]+")
_TEMPLATE: Final = """\
Gatebook: share {number} of {shares} of a master key

Any {threshold} of these {shares} shares give the key back, with
    gatebook key recover --share FILE --share FILE ... --key-file OUT
and with it everything that the service keeps. Fewer tell nothing. Keep each share with
another person, on paper or on a medium of its own. After `gatebook key rotate-master`
the shares of the former key open nothing: make new ones.

master key: {key_id}
set:        {set_id}
made:       {made}

{words_line}
{words}
"""


class BadShares(Exception):
    """These shares give no key back. The message names the file and the reason."""


class Recovered(msgspec.Struct, frozen=True):
    """The key, and how many shares of the set were needed."""

    key: MasterKey
    threshold: int


def split(key: MasterKey, shares: int, threshold: int, made: str) -> list[str]:
    """The text of each share. `made` says when. Raises ValueError for numbers that cannot be."""
    if not 2 <= threshold <= shares <= MOST:
        raise ValueError(f"the threshold is at least 2, at most the shares; shares at most {MOST}")
    # Iterations stretch a passphrase: there is none.
    mnemonics = generate_mnemonics(1, [(threshold, shares)], key.key, iteration_exponent=0)[0]
    return [
        _TEMPLATE.format(
            number=number,
            shares=shares,
            threshold=threshold,
            key_id=key.id.hex(),
            set_id=Share.from_mnemonic(mnemonic).identifier,
            made=made,
            words_line=_WORDS,
            words=_in_lines(mnemonic.split()),
        )
        for number, mnemonic in enumerate(mnemonics, start=1)
    ]


def join(texts: Sequence[tuple[str, str]]) -> Recovered:
    """The key out of (name, text) of shares. Raises BadShares.

    A text is what `split` made, or the words alone.
    """
    shares = {name: _share(name, text) for name, text in texts}
    if not shares:
        raise BadShares("there is no share")
    first = next(iter(shares.values()))
    strange = [n for n, s in shares.items() if s.identifier != first.identifier]
    if strange:
        raise BadShares(
            f"{strange[0]} is of the set {shares[strange[0]].identifier}, "
            f"the first one of the set {first.identifier}: their shares do not go together"
        )
    if first.member_threshold < 2 or any(
        share.group_parameters() != first.group_parameters() for share in shares.values()
    ):
        raise BadShares("these shares do not agree how many are needed: one of them is forged")
    distinct = {share.index: share for share in shares.values()}
    if len(distinct) < first.member_threshold:
        raise BadShares(
            f"the set {first.identifier} needs {first.member_threshold} different shares; "
            f"here are {len(distinct)}"
        )
    key = _combined(list(shares.values()), first.member_threshold)
    if len(key) != KEY_BYTES:
        raise BadShares("these are shares of something else than a master key")
    return Recovered(MasterKey.of(key), first.member_threshold)


def _combined(shares: Sequence[Share], threshold: int) -> bytes:
    """The secret of any that add up: with more than are needed a forged one does no harm.

    The standard keeps a digest in the secret, so that what does not add up is known.
    """
    for chosen in itertools.islice(itertools.combinations(shares, threshold), MOST_TRIES):
        with contextlib.suppress(MnemonicError):
            return bytes(combine_mnemonics([share.mnemonic() for share in chosen]))
    raise BadShares("these shares do not add up to a key")


def _share(name: str, text: str) -> Share:
    """One share. The library's checksum finds every one to three wrong words."""
    _head, found, tail = text.partition(_WORDS)
    words = _WORD.findall((tail if found else text).lower())
    try:
        return Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise BadShares(f"{name} is no share, or a word of it is wrong or missing") from None


def _in_lines(words: Sequence[str]) -> str:
    return "\n".join(" ".join(words[at : at + 6]) for at in range(0, len(words), 6))
