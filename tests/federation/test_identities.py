"""Linked identities: who sees them, who unlinks them, and what goes with a link."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.api.served import Answer, Served
from tests.federation.browser import Browser
from tests.federation.hostile import Provider

MAPPINGS = "/v1/auth/oidc/group-mappings"
RACERS = 8


def arrive(served: Served, provider: Provider, provider_id: str, sub: str) -> tuple[Browser, str]:
    """A browser in which a subject has signed in, and the subject's account."""
    provider.claims = {"sub": sub, "groups": ["staff"]}
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    return browser, str(browser.get("/v1/auth/me").body["account"]["id"])


def path_of(served: Served, account_id: str) -> str:
    """The path of an account's one identity."""
    listed = served.admin.get(f"/v1/accounts/{account_id}/identities")
    [identity] = listed.body["items"]
    return f"/v1/accounts/{account_id}/identities/{identity['id']}"


def named(served: Served, account_id: str, topic: str) -> list[Any]:
    """An account's events of one type."""
    return served.events(f"&account={account_id}&type={topic}")


def test_seen_by_its_owner(served: Served, provider: Provider, provider_id: str) -> None:
    """An account's link is shown to itself and to who may read credentials, and to nobody else."""
    browser, account_id = arrive(served, provider, provider_id, "amy-secret-subject")
    path = f"/v1/accounts/{account_id}/identities"
    own = browser.get(path)
    [shown] = own.body["items"]
    assert set(shown) == {"id", "provider_id", "linked_at"}
    assert shown["provider_id"] == provider_id
    assert b"amy-secret-subject" not in own.raw
    _, auditor = served.signed_in("auditor")
    _, viewer = served.signed_in("viewer")
    assert auditor.get(path).body == own.body
    assert viewer.get(path).status == 403
    assert auditor.delete(path_of(served, account_id)).status == 403
    assert browser.call("DELETE", path_of(served, account_id)).status == 403
    assert served.admin.get(f"/v1/accounts/{provider_id}/identities").status == 404


def test_what_goes_with_a_link(served: Served, provider: Provider, provider_id: str) -> None:
    """Its roles and sessions; not what hands gave. The next sign-in is somebody new."""
    browser, account_id = arrive(served, provider, provider_id, "bob")
    assert served.admin.put(f"/v1/accounts/{account_id}/roles/auditor").status == 204
    path = path_of(served, account_id)

    assert served.admin.delete(path).status == 204

    assert not browser.signed_in
    assert served.admin.get(f"/v1/accounts/{account_id}").body["roles"] == ["auditor"]
    assert served.admin.delete(path).status == 404
    assert served.admin.get(f"/v1/accounts/{account_id}/identities").body["items"] == []
    [unlinked] = named(served, account_id, "identity.unlinked")
    assert unlinked["data"]["provider_id"] == provider_id
    _, other_id = arrive(served, provider, provider_id, "bob")
    assert other_id != account_id


def test_nobody_elses_link(served: Served, provider: Provider, provider_id: str) -> None:
    """An identity is unlinked under its own account, by nobody whose reach is smaller."""
    browser, account_id = arrive(served, provider, provider_id, "carol")
    identity_id = path_of(served, account_id).rpartition("/")[2]
    elsewhere = served.account()["id"]
    wrong = f"/v1/accounts/{elsewhere}/identities/{identity_id}"
    assert served.admin.delete(wrong).status == 404
    assert served.admin.put(f"/v1/accounts/{account_id}/roles/admin").status == 204
    _, operator = served.signed_in("operator")
    assert operator.delete(path_of(served, account_id)).status == 403
    assert browser.signed_in


def test_of_an_account_that_is_deleted(
    served: Served, provider: Provider, provider_id: str
) -> None:
    """A deleted account still holds its provider, and is unlinked as any other."""
    _, account_id = arrive(served, provider, provider_id, "dora")
    assert served.admin.delete(f"/v1/accounts/{account_id}").status == 204
    for one in served.admin.get(MAPPINGS + "?limit=500").body["items"]:
        if one["provider_id"] == provider_id:
            assert served.admin.delete(f"{MAPPINGS}/{one['id']}").status == 204
    assert served.admin.delete(f"/v1/auth/oidc/providers/{provider_id}").status == 409
    assert served.admin.delete(path_of(served, account_id)).status == 204
    assert served.admin.delete(f"/v1/auth/oidc/providers/{provider_id}").status == 204


def test_unlinked_while_signing_in(served: Served, provider: Provider, provider_id: str) -> None:
    """Of sign-ins that race with it, none is left in the account, whichever came first."""
    _, account_id = arrive(served, provider, provider_id, "eve")
    path = path_of(served, account_id)
    browsers = [Browser(served.client) for _ in range(RACERS)]
    queries = [provider.authorize(browser.begin(provider_id)) for browser in browsers]

    def back(number: int) -> Answer:
        return browsers[number].get(f"/auth/oidc/callback?{queries[number]}")

    with ThreadPoolExecutor(RACERS + 1) as pool:
        arriving = [pool.submit(back, number) for number in range(RACERS)]
        unlinked = pool.submit(served.admin.delete, path)
        assert unlinked.result(60).status == 204
        assert {one.result(60).status for one in arriving} == {302}

    for browser in browsers:
        me = browser.get("/v1/auth/me")
        assert me.status == 401 or me.body["account"]["id"] != account_id
    assert served.admin.get(f"/v1/accounts/{account_id}").body["roles"] == []
