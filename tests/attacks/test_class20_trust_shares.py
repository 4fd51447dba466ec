"""Class 20, recovery ceremonies: one of those who hold a share is the attacker."""

from __future__ import annotations

import dataclasses
import os
import re

import pytest
from shamir_mnemonic import Share

from gatebook.store import escrow
from gatebook.store.master_record import MasterKey


@pytest.fixture
def key() -> MasterKey:
    """A master key."""
    return MasterKey.of(os.urandom(32))


def held(key: MasterKey, shares: int) -> list[Share]:
    """The shares of a set of which any two give the key back."""
    texts = escrow.split(key, shares, 2, "today")
    return [
        Share.from_mnemonic(" ".join(re.findall("[a-z]+", t.split("words:")[1]))) for t in texts
    ]


def texts_of(*shares: Share) -> list[tuple[str, str]]:
    return [(f"share {place}", share.mnemonic()) for place, share in enumerate(shares, 1)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_share_that_says_that_it_is_enough(key: MasterKey, place: int) -> None:
    """Else its holder would choose the master key."""
    shares = held(key, 3)
    shares[place] = dataclasses.replace(shares[place], value=os.urandom(32), member_threshold=1)
    with pytest.raises(escrow.BadShares, match="forged"):
        escrow.join(texts_of(*shares))
    with pytest.raises(escrow.BadShares, match="forged"):
        escrow.join(texts_of(shares[place]))


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_forged_share_among_enough_others_prevents_nothing(key: MasterKey, place: int) -> None:
    """Its checksum is right, its value is not; the others give the key back."""
    shares = held(key, 4)
    shares[place] = dataclasses.replace(shares[place], value=os.urandom(32))
    assert escrow.join(texts_of(*shares)).key == key
    usurper = dataclasses.replace(shares[place], index=shares[(place + 1) % 4].index)
    assert escrow.join(texts_of(*shares, usurper)).key == key


def test_too_few_honest_shares_give_nothing(key: MasterKey) -> None:
    """Neither the key nor another one."""
    first, second = held(key, 2)
    with pytest.raises(escrow.BadShares):
        escrow.join(texts_of(first, dataclasses.replace(second, value=os.urandom(32))))
    with pytest.raises(escrow.BadShares):
        escrow.join(texts_of(first, dataclasses.replace(first, value=os.urandom(32))))
