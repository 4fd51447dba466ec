"""Forms of other sites: nobody is signed in or out by a page that is not ours."""

from __future__ import annotations

import pytest

from tests.api.served import PASSWORD, Served
from tests.pages.visitor import Page, Visitor, cookies_of


def form_of(served: Served, visitor: Visitor) -> dict[str, str]:
    account = served.account()
    page = visitor.open()
    return page.forms["/login"] | {"username": account["username"], "password": PASSWORD}


def test_the_cookie(visitor: Visitor) -> None:
    """Random, read by nobody, kept from page to page, and not what stands in the form."""
    cookie = cookies_of(visitor.browser.get("/login"))["gatebook_form"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], len(cookie.value)) == ("Lax", "/", 43)
    page = visitor.open()
    assert visitor.jar["gatebook_form"] == cookie.value
    assert cookie.value not in page.html
    assert page.forms["/login"]["form_token"] != cookie.value


@pytest.mark.parametrize("action", ["/login", "/login/second-factor", "/logout"])
def test_no_form_without_its_token(served: Served, visitor: Visitor, action: str) -> None:
    """Missing, empty, somebody else's, or without the cookie: the page again, and nothing done."""
    form = form_of(served, visitor)
    others = Visitor(served.client).open().forms["/login"]["form_token"]
    head = served.head()
    for token in ("", others, form["form_token"][:-1], visitor.jar["gatebook_form"]):
        page = Page(visitor.send(action, form | {"form_token": token}))
        assert (page.status, page.heading, len(page.alerts)) == (403, "Sign in", 1)
    stranger = Visitor(served.client)
    assert stranger.send(action, form).status == 403
    stranger.jar["gatebook_form"] = "A" * 43
    assert stranger.send(action, form).status == 403
    assert served.head() == head
    again = Page(stranger.send(action, {}))
    fields = {"username": form["username"], "password": PASSWORD}
    assert stranger.fill(again, "/login", **fields).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_others(served: Served, visitor: Visitor, headers: dict[str, str]) -> None:
    """What a browser says of where a form came from counts too, whatever the token."""
    form = form_of(served, visitor)
    for action in ("/login", "/login/second-factor", "/logout"):
        page = Page(visitor.send(action, form, **headers))
        assert page.status == 403
        assert page.headers["Content-Type"].startswith("text/html")
    assert not visitor.signed_in
    assert visitor.send("/login", form).status == 303


def test_our_own_pages(served: Served, visitor: Visitor) -> None:
    """A browser that says where it is."""
    form = form_of(served, visitor)
    origin = f"http://localhost:{served.client.port}"
    own = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert visitor.send("/login", form, **own).status == 303


def test_bodies_that_are_no_forms(visitor: Visitor) -> None:
    """JSON, files, doubled fields and bad escapes are refused with a page."""
    for raw, kind, status in (
        (b"{}", "application/json", 415),
        (b"a", "multipart/form-data; boundary=a", 415),
        (b"username=a&username=b", "application/x-www-form-urlencoded", 400),
        (b"username=%ff", "application/x-www-form-urlencoded", 400),
        (b"username=" + b"a" * 2000, "application/x-www-form-urlencoded", 400),
        (b"a" * 40_000, "application/x-www-form-urlencoded", 413),
    ):
        answer = visitor.browser.call(
            "POST", "/login", csrf=False, raw=raw, headers={"Content-Type": kind}
        )
        assert answer.status == status, raw[:40]
        assert answer.headers["Content-Type"].startswith("text/html")
