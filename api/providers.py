"""Identity providers and group mappings: configured, tried out, refreshed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from gatebook.api import decoding, lists
from gatebook.api import federation_schemas as f
from gatebook.api.call import Call
from gatebook.api.past import Stood, stood
from gatebook.api.past_schemas import PastPaging
from gatebook.api.problems import Problem
from gatebook.api.reply import Reply
from gatebook.api.schemas import AsOf, Nothing
from gatebook.domain.application.providers import ProviderView
from gatebook.domain.federated_claims import FederationRefused
from gatebook.domain.provider import Configuration
from gatebook.projections.federation import FederationView, KnownMapping, KnownProvider
from gatebook.store.house import House
from gatebook.store.id_tokens import ALGORITHMS, fits
from gatebook.store.oidc import Party
from gatebook.store.outbound import OutboundFailed, OutboundRefused
from gatebook.store.past import CONFIGURED

CALLBACK = "/auth/oidc/callback"
SECOND = 1_000_000


def create(call: Call[f.NewProvider, None]) -> Reply:
    """POST /v1/auth/oidc/providers"""
    providers, body = call.house.providers, call.body
    configured = _configuration(body)
    _reachable(call, configured.issuer)
    return call.command(
        lambda by: providers.create(by, configured, body.client_secret),
        lambda view: Reply(
            201,
            _shown(call, view),
            {"Location": f"/v1/auth/oidc/providers/{view.provider_id}", **_tag(view)},
        ),
    )


def browse(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/auth/oidc/providers, now or as they stood"""
    with stood(call, CONFIGURED) as then:
        found = then.federations.providers()

        def shown(one: KnownProvider) -> f.Provider:
            return _shown(call, _view(call, one.provider_id, then), then.federations)

        page = lists.short_page(call, "providers", found, _provider_key, shown)
    return Reply(200, page, then.headers)


def show(call: Call[None, AsOf]) -> Reply:
    """GET /v1/auth/oidc/providers/{provider_id}, now or as it stood"""
    with stood(call, CONFIGURED) as then:
        view = _view(call, call.path["provider_id"], then)
        body = _shown(call, view, then.federations)
    return Reply(200, body, then.headers or _tag(view))


def _view(call: Call[Any, Any], provider_id: UUID, then: Stood) -> ProviderView:
    providers = call.house.providers
    if then.past is None:
        return providers.view(provider_id)
    return providers.view_at(provider_id, then.past.position)


def change(call: Call[f.ProviderChanges, None]) -> Reply:
    """PATCH /v1/auth/oidc/providers/{provider_id}"""
    body, changes = call.body, dict[str, Any]()
    for name in f.ProviderChanges.__struct_fields__:
        value = getattr(body, name)
        if value is not UNSET and name != "client_secret":
            changes[name] = value
    if "iat_window" in changes:
        changes["iat_window"] *= SECOND
    secret = None if body.client_secret is UNSET else body.client_secret
    view = call.house.providers.change(
        call.by(), call.path["provider_id"], changes, secret, if_match=call.if_match
    )
    return Reply(200, _shown(call, view), _tag(view))


def remove(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/oidc/providers/{provider_id}"""
    call.house.providers.remove(call.by(), call.path["provider_id"], if_match=call.if_match)
    return Reply(204)


def refresh(call: Call[Nothing, None]) -> Reply:
    """POST /v1/auth/oidc/providers/{provider_id}/refresh. Asks the provider anew, here and now."""
    party, relying = party_of(call, call.path["provider_id"]), call.house.relying
    try:
        metadata = relying.metadata(party, fresh=True)
        keys = relying.keys(party, fresh=True)
    except FederationRefused as refusal:
        raise Problem(
            "provider-unusable", f"{refusal.reason}: {refusal.detail.rstrip('.')}."
        ) from refusal
    body = f.Refreshed(
        issuer=metadata.issuer,
        algorithms=metadata.id_token_signing_alg_values_supported,
        keys=[str(key.get("kid", "")) for key in keys],
        iss_parameter=metadata.authorization_response_iss_parameter_supported,
        back_channel_logout=metadata.backchannel_logout_supported,
    )
    return Reply(200, body)


def trial(call: Call[f.NewProvider, None]) -> Reply:
    """POST /v1/auth/oidc/providers/test. A dry run: nothing is kept, no secret is sent."""
    configured = _configuration(call.body)
    party = Party(UUID(int=0), 0, configured, call.body.client_secret)
    steps = dry_run(call.house, party)
    return Reply(200, f.Trial(ok=all(step.ok for step in steps), steps=steps))


def map_group(call: Call[f.NewMapping, None]) -> Reply:
    """POST /v1/auth/oidc/group-mappings"""
    providers, body = call.house.providers, call.body

    def shown(mapping_id: UUID) -> Reply:
        created_at = decoding.instant(call.now)
        mapping = f.Mapping(mapping_id, body.provider_id, body.group, body.role, created_at)
        return Reply(201, mapping, {"Location": f"/v1/auth/oidc/group-mappings/{mapping_id}"})

    return call.command(
        lambda by: providers.map_group(by, body.provider_id, body.group, body.role), shown
    )


def mappings(call: Call[None, PastPaging]) -> Reply:
    """GET /v1/auth/oidc/group-mappings, now or as they stood"""
    with stood(call, CONFIGURED) as then:
        found = then.federations.mappings()

    def shown(one: KnownMapping) -> f.Mapping:
        created_at = decoding.instant(one.created_at)
        return f.Mapping(one.mapping_id, one.provider_id, one.group, one.role, created_at)

    page = lists.short_page(call, "group-mappings", found, lambda m: str(m.mapping_id), shown)
    return Reply(200, page, then.headers)


def unmap_group(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/oidc/group-mappings/{mapping_id}"""
    call.house.providers.unmap_group(call.by(), call.path["mapping_id"])
    return Reply(204)


def party_of(call: Call[Any, Any], provider_id: UUID) -> Party:
    """A provider with its secret, at its present version. Raises NotFound."""
    loaded = call.house.providers.load(provider_id)
    configured = loaded.state.configuration
    assert configured is not None  # load raises otherwise
    return Party(provider_id, loaded.version, configured, loaded.state.secret or "")


def dry_run(house: House, party: Party) -> list[f.Step]:
    """Asks a provider for what it publishes, step by step, up to the first that fails."""
    relying, outbound, steps = house.relying, house.outbound, list[f.Step]()
    try:
        metadata = relying.metadata(party, fresh=True)
        steps.append(f.Step("discovery", True, f"It is {metadata.issuer}."))
        usable = [a for a in metadata.id_token_signing_alg_values_supported if a in ALGORITHMS]
        weak = [a for a in metadata.id_token_signing_alg_values_supported if a[:2] == "HS"]
        note = f" It also offers {', '.join(weak)}, which are refused." if weak else ""
        steps.append(f.Step("algorithms", True, f"Signs with {', '.join(usable)}.{note}"))
        keys = relying.keys(party, fresh=True)
        fitting = [k for k in keys if any(fits(k, a) for a in usable)]
        said = f"{len(fitting)} of {len(keys)} keys fit."
        steps.append(f.Step("keys", bool(fitting), said))
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
            url = getattr(metadata, name)
            if url is not None:
                outbound.check(url)
                steps.append(f.Step(name, True, url))
        asked = metadata.authorization_response_iss_parameter_supported
        steps.append(f.Step("iss_parameter", True, "It is sent." if asked else "It is not sent."))
        sent = metadata.backchannel_logout_supported
        told = "It logs out here too." if sent else "It is not offered."
        steps.append(f.Step("back_channel_logout", True, told))
    except FederationRefused as refusal:
        steps.append(f.Step(refusal.reason, False, refusal.detail or refusal.reason))
    except (OutboundRefused, OutboundFailed) as error:
        steps.append(f.Step("endpoints", False, str(error)))
    return steps


# --- details


def _reachable(call: Call[Any, Any], issuer: str) -> None:
    try:
        call.house.outbound.check(issuer)
    except OutboundRefused as error:
        raise Problem("provider-unusable", str(error)) from error
    except OutboundFailed:
        return  # a name that cannot be resolved today may be tomorrow


def _configuration(body: f.NewProvider) -> Configuration:
    given: dict[str, Any] = msgspec.structs.asdict(body)
    del given["client_secret"]
    given["iat_window"] *= SECOND
    return Configuration(**given)


def _shown(
    call: Call[Any, Any], view: ProviderView, federations: FederationView | None = None
) -> f.Provider:
    fields: dict[str, Any] = msgspec.structs.asdict(view.configuration)
    fields["iat_window"] //= SECOND
    return f.Provider(
        id=view.provider_id,
        linked_accounts=(federations or call.house.federations).linked(view.provider_id),
        login_url=f"{call.site.base_url}/auth/oidc/login?provider={view.provider_id}",
        redirect_uri=call.site.base_url + CALLBACK,
        version=view.version,
        **fields,
    )


def _tag(view: ProviderView) -> dict[str, str]:
    return {"ETag": f'"{view.version}"'}


def _provider_key(one: KnownProvider) -> str:
    return f"{one.name}\0{one.provider_id}"
