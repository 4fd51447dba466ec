"""The login page without a script: a password, a second factor, and what it refuses."""

from __future__ import annotations

import pytest

from tests.api.factors import with_totp
from tests.api.served import PASSWORD, Deployment, Served
from tests.pages.visitor import Page, Visitor

WRONG = "The username or the password is wrong."
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def test_a_password(served: Served, visitor: Visitor) -> None:
    """The right one leads on with a session; the page then says who is signed in."""
    account = served.account()

    answer = visitor.sign_in(account["username"], query="?return_to=/start%3Fa=b")

    assert (answer.status, answer.headers["Location"]) == (303, "/start?a=b")
    assert answer.raw == b""
    me = visitor.browser.get("/v1/auth/me").body
    assert me["account"]["id"] == account["id"]
    assert me["amr"] == ["pwd"]
    page = visitor.open("/login?return_to=/start")
    assert page.heading == "You are signed in"
    assert account["username"] in page.html
    assert page.links == {"Continue": "/start"}
    assert list(page.forms) == ["/logout"]
    assert page.alerts == []
    assert visitor.open("/login?error=cancelled").alerts == ["The sign-in was cancelled."]


def test_where_nobody_asked_for_a_place(served: Served, visitor: Visitor) -> None:
    """Without return_to a sign-in leads to the page that says who it is."""
    answer = visitor.sign_in(served.account()["username"])
    assert answer.headers["Location"] == "/login"
    assert "Continue" not in visitor.open("/login").links


def test_a_wrong_password(served: Served, visitor: Visitor) -> None:
    """One sentence for a wrong password and an unknown name, and the same events as the API's."""
    account = served.account()
    page = Page(visitor.sign_in(account["username"], "not the password"))
    assert (page.status, page.alerts) == (401, [WRONG])
    assert page.inputs["username"]["value"] == account["username"]
    assert page.inputs["password"].get("value") is None
    unknown = Page(visitor.sign_in("nobody-of-this-name", "not the password"))
    assert (unknown.status, unknown.alerts) == (401, [WRONG])
    empty = Page(visitor.sign_in(account["username"], ""))
    assert (empty.status, empty.alerts) == (401, [WRONG])
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [event["data"]["cause"] for event in failed] == ["wrong-password"] * 2
    assert not visitor.signed_in


def test_a_lock_holds_here_too(served: Served, visitor: Visitor) -> None:
    """Failures count together with the API's, and the right password then fails alike."""
    account = served.account()
    for _ in range(2):
        visitor.sign_in(account["username"], "not the password")
    for _ in range(3):
        body = {"username": account["username"], "password": "not the password"}
        assert served.client.post("/v1/auth/login", body).status == 401
    page = Page(visitor.sign_in(account["username"]))
    assert (page.status, page.alerts) == (401, [WRONG])
    assert not visitor.signed_in


def test_a_second_factor(served: Served, visitor: Visitor) -> None:
    """A code opens the session and leads on; a wrong one is told, and can be tried again."""
    account, _, app = with_totp(served)
    page = Page(visitor.sign_in(account["username"], query="?return_to=/start"))
    assert (page.status, page.heading, page.alerts) == (200, "One more step", [])
    assert page.inputs["totp_code"]["autocomplete"] == "one-time-code"
    assert "recovery_code" not in page.inputs
    assert not visitor.signed_in

    action = "/login/second-factor"
    wrong = Page(visitor.fill(page, action, totp_code=app.wrong()))
    assert (wrong.status, len(wrong.alerts)) == (401, 1)
    empty = Page(visitor.fill(wrong, action))
    assert (empty.status, len(empty.alerts)) == (400, 1)
    code = app.code()
    answer = visitor.fill(empty, action, totp_code=f"{code[:3]} {code[3:]}")

    assert (answer.status, answer.headers["Location"]) == (303, "/start")
    assert visitor.browser.get("/v1/auth/me").body["acr"] == "aal2"
    spent = Page(Visitor.fill(visitor, page, action, totp_code=app.code()))
    assert (spent.status, len(spent.alerts)) == (401, 1)


def test_a_recovery_code(served: Served, visitor: Visitor) -> None:
    """A recovery code finishes a sign-in once."""
    account, client, _ = with_totp(served)
    codes = client.post("/v1/auth/recovery-codes").body["codes"]
    for status in (303, 401):
        page = Page(visitor.sign_in(account["username"]))
        assert page.inputs["recovery_code"]["autocomplete"] == "off"
        answer = visitor.fill(page, "/login/second-factor", recovery_code=codes[0])
        assert answer.status == status
        visitor = Visitor(served.client)


def test_a_second_step_without_a_first(served: Served, visitor: Visitor) -> None:
    """A token that was not given here leads back to the first page."""
    form = {"form_token": visitor.open().forms["/login"]["form_token"], "totp_code": "123456"}
    page = Page(visitor.send("/login/second-factor", form | {"mfa_token": "gbm_" + "A" * 64}))
    assert (page.status, page.heading) == (401, "Sign in")


def test_headers(served: Served, visitor: Visitor) -> None:
    """Every page forbids scripts of others, frames, caches; and there is nothing inline."""
    account, _, _ = with_totp(served)
    pages = [
        visitor.open(),
        Page(visitor.sign_in("nobody", "x")),
        Page(visitor.sign_in(account["username"])),
        visitor.open("/login?return_to=//elsewhere.example"),
        Page(visitor.browser.call("PUT", "/login", csrf=False)),
    ]
    assert [page.status for page in pages] == [200, 401, 200, 400, 405]
    for page in pages:
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Content-Security-Policy"] == POLICY
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        for tag, given in page.tags:
            assert tag != "style"
            assert "style" not in given
            assert not [name for name in given if name.startswith("on")]
            assert tag != "script" or given["src"] == "/static/passkey.js"


def test_every_field_has_a_label(served: Served, visitor: Visitor) -> None:
    """Labels are tied to their fields, and alerts are announced and tied to them too."""
    account, client, _ = with_totp(served)
    client.post("/v1/auth/recovery-codes")
    for page in (visitor.open(), Page(visitor.sign_in(account["username"]))):
        labelled = {given["for"] for tag, given in page.tags if tag == "label"}
        shown = {i["id"] for i in page.inputs.values() if i.get("type") != "hidden"}
        assert labelled == shown
        assert ("html", {"lang": "en"}) in page.tags
    wrong = Page(visitor.sign_in("nobody", "x"))
    assert wrong.inputs["password"]["aria-describedby"] == "alert"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("sign-in-failed", 1),
        ("cancelled", 1),
        ("<script>alert(1)</script>", 0),
        ("anything else", 0),
    ],
)
def test_what_an_address_makes_it_say(visitor: Visitor, error: str, said: int) -> None:
    """Sentences of a closed list; nothing that stands in the address is repeated."""
    page = visitor.open(f"/login?error={error.replace('<', '%3C').replace(' ', '+')}")
    assert page.status == 200
    assert len(page.alerts) == said
    assert "alert(1)" not in page.html
    assert "anything" not in page.html


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "start",
     "/a\tb", "/\u00e4"],
)  # fmt: skip
def test_no_way_elsewhere(served: Served, visitor: Visitor, elsewhere: str) -> None:
    """return_to is a path of this site; everything else is refused, by the address and the form."""
    page = visitor.open()
    form = page.forms["/login"] | {"username": served.account()["username"], "password": PASSWORD}
    refused = visitor.send("/login", form | {"return_to": elsewhere})
    assert refused.status == 400
    assert not visitor.signed_in
    assert visitor.open("/login?return_to=https://evil.example").status == 400


def test_what_is_typed_is_escaped(visitor: Visitor) -> None:
    """A name with markup comes back as text."""
    page = Page(visitor.sign_in('"><img src=x onerror=alert(1)>', "x"))
    assert page.inputs["username"]["value"] == '"><img src=x onerror=alert(1)>'
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_too_many_attempts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The address's bucket is the API's; the refusal is a page with a sentence."""
    deployment = Deployment(
        tmp_path_factory.mktemp("throttled"), "sqlite:///gatebook.db", server="workers = 1"
    )
    text = deployment.config.read_text()
    text = text.replace("login_burst = 1000000", "login_burst = 2")
    deployment.config.write_text(text.replace("login_per_minute = 1000000", "login_per_minute = 1"))
    deployment.create()
    with deployment.served() as served:
        visitor = Visitor(served.client)
        assert "passkey" not in visitor.open().html  # no passkey is bound to an address
        assert visitor.sign_in("nobody", "x").status == 401
        assert (
            served.client.post("/v1/auth/login", {"username": "n", "password": "x"}).status == 401
        )
        answer = visitor.sign_in("nobody", "x")
        page = Page(answer)
        assert (page.status, page.heading) == (429, "Too many attempts")
        wait = answer.headers["Retry-After"]
        assert int(wait) > 0
        assert page.alerts == [f"Too many attempts from this address. Try again in {wait} s."]
        second = Page(visitor.send("/login/second-factor", {}))
        assert second.status == 429
        assert visitor.open().status == 200
