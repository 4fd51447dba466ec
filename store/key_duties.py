"""Signing keys grow old: a new one is published, the old one ends when nothing needs it."""

from __future__ import annotations

from typing import Final

from gatebook.domain.application.core import HOUR
from gatebook.projections.signed import anything_counts
from gatebook.store.house import House, system

STILL_SIGNS: Final = HOUR
"""For so long after another took over: clocks differ, and a renewal that is asked again within
seconds gets the pair that it stands at, signed by that pair's own key."""


def tend_signing_keys(house: House, now: int) -> None:
    """Rotates by age or algorithm, destroys private halves, and retires keys that are spent.

    A crash between two steps leaves the next one to the next turn.
    """
    tokens = house.settings.tokens
    if all(view.status != "active" for view in house.keys.all(now)):
        # A clock that was ahead has ended the key of today for one that signs in days to come.
        house.keys.rotate(system(), lead=0)
    house.keys.rotate_if_due(system(), age=int(tokens.signing_key_age))
    for kid in house.keys.superseded(now - STILL_SIGNS):
        if house.keyring.has(f"signing:{kid}"):
            house.keyring.destroy_signing_key(kid)
        # A session's token is replaced with each renewal; one for a system account may last a year.
        if not anything_counts(house.store, kid, now - int(tokens.clock_skew)):
            house.keys.retire(system(), kid)
