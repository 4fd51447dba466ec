"""Why somebody holds a role that his provider's groups gave him."""

from __future__ import annotations

from typing import Any

from tests.api.served import Served
from tests.federation.browser import Browser
from tests.federation.hostile import Provider


def test_a_role_by_federation(served: Served, provider: Provider, provider_id: str) -> None:
    """The grant, and what led to it: the mapping, the groups as they were named, the sign-in."""
    provider.claims |= {"sub": "subject-7", "groups": ["night", "staff"]}
    browser = Browser(served.client)
    assert browser.sign_in(provider_id, provider).status == 302
    account_id = browser.get("/v1/auth/me").body["account"]["id"]
    before = served.head()
    provider.claims |= {"groups": ["night"]}
    Browser(served.client).sign_in(provider_id, provider)

    then = explained(served, account_id, position=before)
    assert then["holds"] is True
    (reason,) = [one for one in then["reasons"] if one["why"] == "held"]
    events = {one["event"]["type"]: one["event"] for one in reason["grounds"]}
    assert set(events) == {
        "role.defined",
        "role.granted",
        "group_mapping.added",
        "identity.groups_changed",
        "federated_login.completed",
    }
    assert events["role.granted"]["data"]["source"] == f"provider:{provider_id}"
    assert events["group_mapping.added"]["data"]["group"] == "staff"
    assert events["identity.groups_changed"]["data"]["groups"] == ["night", "staff"]


def test_groups_are_recorded_when_they_change(
    served: Served, provider: Provider, provider_id: str
) -> None:
    """The same groups at the next sign-in, in another order, leave no event."""
    provider.claims |= {"sub": "subject-8", "groups": ["staff", "night"]}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    account_id = browser.get("/v1/auth/me").body["account"]["id"]
    for groups in (["night", "staff"], ["staff", "staff", "night"], ["staff", "day"]):
        provider.claims |= {"groups": groups}
        assert Browser(served.client).sign_in(provider_id, provider).status == 302

    named = [
        event["data"]["groups"]
        for event in served.events(f"&account={account_id}&type=identity.groups_changed")
    ]
    assert named == [["night", "staff"], ["day", "staff"]]


def explained(served: Served, account_id: str, position: int) -> Any:
    answer = served.admin.get(
        f"/v1/audit/explain?account={account_id}&permission=accounts.read&position={position}"
    )
    assert answer.status == 200, answer.raw
    return answer.body
