"""What `gatebook doctor` asks of identity providers: what they publish, and whether that is enough.

It sends requests to every enabled provider, as a sign-in would; no secret is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gatebook.api import providers
from gatebook.domain.application.providers import ProviderView
from gatebook.store.house import House
from gatebook.store.oidc import Party

Outcome = tuple[str, str, str, str]
"""What was checked, its state, what was found, the mend."""

MENDS: Final = {
    "discovery_failed": "Mend the issuer or the way there (DNS, TLS, [outbound]); then: "
    "gatebook oidc provider test {id}",
    "alg_rejected": "Let the provider sign with RS256 or ES256; HS* and none never count.",
    "jwks_unreachable": "Mend the way to its jwks_uri; then: gatebook oidc provider refresh {id}",
    "keys": "Let the provider publish a signing key for an algorithm that it names.",
    "endpoints": "Its endpoints lead where [outbound] lets no request go; see its metadata.",
}


def checked(house: House) -> Iterator[Outcome]:
    """One outcome for each provider; one in all when there is none."""
    found = house.providers.all()
    if not found:
        yield "identity providers", "good", "none", ""
    for view in found:
        yield _provider(house, view)


def _provider(house: House, view: ProviderView) -> Outcome:
    configured = view.configuration
    check = f"provider {configured.name}"
    if not configured.enabled:
        return check, "good", "switched off", ""
    loaded = house.providers.load(view.provider_id)
    party = Party(view.provider_id, loaded.version, configured, loaded.state.secret or "")
    steps = providers.dry_run(house, party)
    for step in steps:
        if not step.ok:
            mend = MENDS[step.step].format(id=view.provider_id)
            return check, "wrong", f"{step.step}: {step.detail}", mend
    mapped = len(house.federations.mappings(view.provider_id))
    if not mapped:
        mend = f"gatebook oidc mapping add {view.provider_id} GROUP ROLE"
        return check, "wrong", "no group is mapped: nobody can sign in", mend
    [keys] = [step.detail for step in steps if step.step == "keys"]
    return check, "good", f"{keys} {mapped} groups mapped", ""
