"""Commands on signing keys: create, rotate, retire."""

from __future__ import annotations

import msgspec

from gatebook.domain import signing_keys
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.errors import InvalidValue
from gatebook.domain.signing_keys import Key, Ring

LEAD = 600 * 1_000_000
"""Microseconds that a key is published before it signs by itself: longer than a JWKS is kept."""

ALGORITHMS = ("ES256", "EdDSA", "RS256")


class KeyView(msgspec.Struct, frozen=True):
    """A signing key as it is shown. `public_jwk` is JSON."""

    kid: str
    algorithm: str
    status: str
    signs_from: int | None
    public_jwk: str


class SigningKeys:
    """The signing-key commands."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    def all(self, at: int) -> list[KeyView]:
        """Every key ever made, oldest first."""
        ring = self._load().state
        return [_view(ring, key, at) for key in ring.keys]

    def create(self, by: By, algorithm: str | None = None) -> KeyView:
        """Publishes a new key, which does not sign yet."""
        chosen = self._checked(algorithm)
        kid, jwk = self._app.keys.create_signing_key(chosen)

        def decide(now: int) -> Decision[KeyView]:
            ring = self._load()
            events = signing_keys.create(kid, chosen, jwk)
            return Decision(_after(ring, events, kid, now), ring.entries(events))

        return self._app.run(by, decide)

    def rotate(self, by: By, *, lead: int, algorithm: str | None = None) -> KeyView:
        """Publishes a new key that signs after `lead` microseconds; the old one then verifies.

        A lead of at least the JWKS max-age lets every verifier see the key before it signs.
        """
        chosen = self._checked(algorithm)
        kid, jwk = self._app.keys.create_signing_key(chosen)

        def decide(now: int) -> Decision[KeyView]:
            ring = self._load()
            events = signing_keys.create(kid, chosen, jwk)
            published = _folded(ring.state, events)
            events += signing_keys.activate(kid, now + lead, published)
            return Decision(_after(ring, events, kid, now), ring.entries(events))

        return self._app.run(by, decide)

    def rotate_if_due(self, by: By, *, age: int) -> KeyView | None:
        """Rotates when the key that signs is too old, or of another algorithm than configured.

        `age` in microseconds, 0 for no end. Of several that try at once, one does it.
        """
        algorithm = self._checked(None)

        def due(ring: Ring, now: int) -> bool:
            return ring.due(now, age=age, lead=LEAD, algorithm=algorithm)

        if not due(self._load().state, self._app.clock.now()):
            return None
        kid, jwk = self._app.keys.create_signing_key(algorithm)

        def decide(now: int) -> Decision[KeyView | None]:
            ring = self._load()
            if not due(ring.state, now):
                return Decision(None)
            events = signing_keys.create(kid, algorithm, jwk)
            published = _folded(ring.state, events)
            events += signing_keys.activate(kid, now + LEAD, published)
            return Decision(_after(ring, events, kid, now), ring.entries(events))

        view = self._app.run(by, decide)
        if view is None:
            self._app.keys.destroy_signing_key(kid)  # somebody else was first
        return view

    def superseded(self, before: int) -> list[str]:
        """The kids that are published still and have not signed since an instant."""
        return [key.kid for key in self._load().state.superseded(before)]

    def retire(self, by: By, kid: str) -> KeyView:
        """Ends a key that no longer signs: what it signed is refused from here on."""

        def decide(now: int) -> Decision[KeyView]:
            ring = self._load()
            events = signing_keys.retire(kid, now, ring.state)
            return Decision(_after(ring, events, kid, now), ring.entries(events))

        view = self._app.run(by, decide)
        self._app.keys.destroy_signing_key(kid)
        return view

    def _checked(self, algorithm: str | None) -> str:
        chosen = algorithm or self._app.configuration.algorithm
        if chosen not in ALGORITHMS:
            raise InvalidValue(f"algorithm is one of {', '.join(ALGORITHMS)}.", "/algorithm")
        return chosen

    def _load(self) -> Loaded[Ring]:
        return self._app.load(signing_keys.STREAM_ID, Ring(), signing_keys.evolve)


def _folded(ring: Ring, events: list[signing_keys.Happening]) -> Ring:
    for event in events:
        ring = signing_keys.evolve(ring, event)
    return ring


def _after(
    loaded: Loaded[Ring], events: list[signing_keys.Happening], kid: str, at: int
) -> KeyView:
    ring = _folded(loaded.state, events)
    return _view(ring, ring.get(kid), at)


def _view(ring: Ring, key: Key, at: int) -> KeyView:
    return KeyView(key.kid, key.algorithm, ring.status(key, at), key.signs_from, key.public_jwk)
