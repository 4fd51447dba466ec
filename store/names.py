"""Usernames: PRECIS UsernameCaseMapped (RFC 8265, section 3.3), and keyed hashes of them."""

from __future__ import annotations

import re
from uuid import UUID

from precis_i18n import get_profile

from gatebook.domain.envelope import uuid8_of
from gatebook.domain.errors import InvalidValue
from gatebook.store.keyring import Keyring

LONGEST = 64
_UUID = re.compile(r"[{(]?[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}[)}]?", re.I | re.A)
_PROFILE = get_profile("UsernameCaseMapped")


class PrecisNames:
    """Names as they are compared, and where their claims are."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def enforce(self, username: str) -> str:
        """The name as it is compared. Raises InvalidValue with what PRECIS objects to."""
        pointer = "/username"
        if not 1 <= len(username) <= LONGEST:
            raise InvalidValue(f"A username has 1 to {LONGEST} characters.", pointer)
        if any(character in username for character in "/\\"):
            raise InvalidValue("A username has no slash.", pointer)
        if _UUID.fullmatch(username):
            raise InvalidValue("A username cannot look like an account's id.", pointer)
        try:
            enforced: str = _PROFILE.enforce(username)
            # RFC 8264, section 7: applying the rules once more must change nothing.
            stable = _PROFILE.enforce(enforced) == enforced
        except UnicodeEncodeError as error:
            raise InvalidValue(
                f"A username cannot hold {error.object[error.start : error.end]!r} "
                f"({error.reason}).",
                pointer,
            ) from error
        if not stable or not 1 <= len(enforced) <= LONGEST:
            raise InvalidValue("This is not a username that stays the same.", pointer)
        return enforced

    def stream_id(self, enforced: str) -> UUID:
        """The stream of an enforced name."""
        return uuid8_of(self._keyring.derive("usernames", enforced.encode()))

    def hash(self, raw: str) -> bytes:
        """16 bytes that say whether two tries named the same, and nothing else."""
        return self._keyring.derive("tried-names", raw.encode("utf-8", "surrogatepass"))[:16]
