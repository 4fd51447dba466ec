"""What was proved at a sign-in, and what that is worth: `amr` and `acr` are folds of it.

`amr` uses the words of RFC 8176 where it has one; `recovery` is ours. `acr` is the assurance level
of NIST SP 800-63B-4 that the proofs reach together: two different kinds of factor make `aal2`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Acr = Literal["aal1", "aal2"]

AAL1: Final[Acr] = "aal1"
AAL2: Final[Acr] = "aal2"


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """One thing proved. `factors`: "knowledge", "possession", "inherence" or "activation".

    "activation" is what a passkey's own user verification adds, whichever it was.
    """

    method: str
    amr: tuple[str, ...]
    factors: tuple[str, ...]


PASSWORD: Final = Proof("password", ("pwd",), ("knowledge",))
TOTP: Final = Proof("totp", ("otp",), ("possession",))
RECOVERY_CODE: Final = Proof("recovery-code", ("recovery",), ("possession",))
BREAK_GLASS: Final = Proof("break-glass", ("pwd",), ("knowledge",))


def passkey(*, verified: bool, synced: bool) -> Proof:
    """A passkey: hardware-bound or synced between devices, with or without user verification."""
    key = "swk" if synced else "hwk"
    if verified:
        return Proof("passkey", (key, "user"), ("possession", "activation"))
    return Proof("passkey", (key,), ("possession",))


def federated(amr: tuple[str, ...]) -> Proof:
    """What a provider vouches for, with the methods that it names; `mfa` there is believed."""
    factors = ("federation", "activation") if "mfa" in amr else ("federation",)
    return Proof("federation", ("fed", *(word for word in amr if word != "mfa")), factors)


def amr_of(proofs: Iterable[Proof]) -> tuple[str, ...]:
    """The methods in the order they were proved, each once, and `mfa` when they reach aal2."""
    given = tuple(proofs)
    words = dict.fromkeys(word for proof in given for word in proof.amr)
    if acr_of(given) == AAL2:
        words["mfa"] = None
    return tuple(words)


def acr_of(proofs: Iterable[Proof]) -> Acr:
    """The assurance level reached."""
    factors = {factor for proof in proofs for factor in proof.factors}
    return AAL2 if len(factors) >= 2 else AAL1


_FACTORS: Final = {
    "pwd": "knowledge",
    "otp": "possession",
    "recovery": "possession",
    "hwk": "possession",
    "swk": "possession",
    "fed": "federation",
}
"""The kind of factor behind a method, for a session that is on record already."""


def raised(amr: tuple[str, ...], acr: str, proof: Proof) -> tuple[tuple[str, ...], Acr]:
    """What a session is worth once more is proved within it: its methods and its level."""
    kinds = {_FACTORS[word] for word in amr if word in _FACTORS} | set(proof.factors)
    level = AAL2 if acr == AAL2 or len(kinds) >= 2 else AAL1
    words = dict.fromkeys(word for word in (*amr, *proof.amr) if word != "mfa")
    return (*words, "mfa") if level == AAL2 else tuple(words), level
