"""One-time codes and recovery codes over the wire."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.factors import App, begin, challenged, claims, code_of, enrol, finish, with_totp
from tests.api.served import PASSWORD, Served

FULL_WIDTH = "".join(chr(0xFF10 + n) for n in range(1, 7))
ARABIC = "".join(chr(0x660 + n) for n in range(1, 7))


def test_the_offer_is_shown_once_in_three_forms(served: Served) -> None:
    """Secret, URI and QR code say the same; no answer and no event shows them again."""
    account, client = served.signed_in()
    offer = client.post("/v1/auth/totp")
    uri = urlsplit(offer.body["otpauth_uri"])

    assert uri.scheme == "otpauth"
    assert uri.path.endswith(account["username"])
    assert parse_qs(uri.query)["secret"] == [offer.body["secret"]]
    assert offer.body["qr_svg"].startswith("<svg ")
    assert offer.headers["Cache-Control"] == "no-store"
    assert len(offer.body["secret"]) == 32
    [event] = served.events(f"&account={account['id']}&type=totp.offered")
    assert set(event["data"]) == {"account_id", "expires_at"}


def test_a_secret_counts_once_it_is_confirmed(served: Served) -> None:
    """Before, the password is enough; after, it is not; the sign-in says what was proved."""
    account, client = served.signed_in()
    name = account["username"]
    app = App(client.post("/v1/auth/totp").body["secret"])
    assert begin(served.client, name).status == 200
    pending = begin(served.client, name, totp_code=app.code())
    assert claims(served.client, pending.body["access_token"])["amr"] == ["pwd"]

    assert client.post("/v1/auth/totp/confirm", {"code": app.code()}).status == 204

    signed_in = finish(served.client, challenged(served.client, name), totp_code=app.code())
    assert signed_in.status == 200
    said = claims(served.client, signed_in.body["access_token"])
    assert (said["amr"], said["acr"]) == (["pwd", "otp", "mfa"], "aal2")


def test_a_new_offer_replaces_one_that_waits(served: Served) -> None:
    """Of two offers only the second can be confirmed; a secret in force stays until then."""
    account, client, app = with_totp(served)
    first = App(client.post("/v1/auth/totp").body["secret"])
    second = App(client.post("/v1/auth/totp").body["secret"])
    answer = client.post("/v1/auth/totp/confirm", {"code": first.code()})
    assert answer.status == 401
    old = finish(
        served.client, challenged(served.client, account["username"]), totp_code=app.code()
    )
    assert old.status == 200
    assert client.post("/v1/auth/totp/confirm", {"code": second.code()}).status == 204
    token = challenged(served.client, account["username"])
    assert finish(served.client, token, totp_code=app.code()).status == 401
    assert finish(served.client, token, totp_code=second.code()).status == 200


def test_a_code_is_accepted_once(served: Served) -> None:
    """Neither the code of the confirmation nor that of a sign-in counts again."""
    account, _, app = with_totp(served)
    name = account["username"]
    again = code_of(app.secret, app.used)
    assert finish(served.client, challenged(served.client, name), totp_code=again).status == 401
    code = app.code()
    assert finish(served.client, challenged(served.client, name), totp_code=code).status == 200
    assert finish(served.client, challenged(served.client, name), totp_code=code).status == 401
    causes = [
        event["data"]["cause"]
        for event in served.events(f"&account={account['id']}&type=login.failed")
    ]
    assert causes == ["used-code", "used-code"]


@pytest.mark.parametrize(
    "code",
    ["", "12345", "1234567", "12 345", " 123456", "123456\n", "+12345", "-12345", "1e5000",
     FULL_WIDTH, ARABIC, "0x1234", None, 123456, ["123456"]],
    ids=repr,
)  # fmt: skip
def test_six_ascii_digits_and_nothing_else(served: Served, code: object) -> None:
    """What is not six digits is a malformed request everywhere, and no guess."""
    account, client = served.signed_in()
    before = served.head()
    assert client.post("/v1/auth/totp/confirm", {"code": code}).status == 400
    body = {"mfa_token": "gbm_" + "A" * 64, "totp_code": code}
    assert served.client.post("/v1/auth/mfa", body).status == 400
    if code is not None:
        assert begin(served.client, account["username"], totp_code=code).status == 400
    assert served.head() == before


def test_wrong_codes_lock_the_codes_and_not_the_password(served: Served) -> None:
    """Five wrong codes lock; then the right one is refused; the password's count is untouched."""
    account, _, app = with_totp(served)
    token = challenged(served.client, account["username"])
    said = {finish(served.client, token, totp_code=app.wrong()).status for _ in range(5)}
    assert said == {401}

    assert finish(served.client, token, totp_code=app.code()).status == 401
    assert begin(served.client, account["username"]).body["type"].endswith("mfa-required")
    failed = served.events(f"&account={account['id']}&type=login.failed")
    assert [event["data"]["method"] for event in failed] == ["totp"] * 5
    assert failed[-1]["data"]["locked_until"] is not None
    assert served.admin.post(f"/v1/accounts/{account['id']}/unlock").status == 204
    assert finish(served.client, token, totp_code=app.code()).status == 200


def test_removal_needs_a_code_or_the_password(served: Served) -> None:
    """Exactly one of them, and the right one; afterwards the password is enough."""
    account, client, app = with_totp(served)
    name = account["username"]
    for body in ({}, {"code": app.wrong(), "password": PASSWORD}):
        assert client.delete("/v1/auth/totp", body=body).status == 400
    assert client.delete("/v1/auth/totp", body={"code": app.wrong()}).status == 401
    assert client.delete("/v1/auth/totp", body={"password": "not my password"}).status == 401
    challenged(served.client, name)

    assert client.delete("/v1/auth/totp", body={"password": PASSWORD}).status == 204

    assert begin(served.client, name).status == 200
    assert client.delete("/v1/auth/totp", body={"password": PASSWORD}).status == 404
    app = enrol(client)
    assert client.delete("/v1/auth/totp", body={"code": app.code()}).status == 204
    assert begin(served.client, name).status == 200


def test_recovery_codes_stand_in_once_each(served: Served) -> None:
    """Ten codes; each signs in once, however it is typed; a new set voids the former."""
    account, client, _ = with_totp(served)
    name = account["username"]
    made = client.post("/v1/auth/recovery-codes")
    codes = made.body["codes"]
    assert (made.status, len(set(codes))) == (201, 10)

    first = finish(served.client, challenged(served.client, name), recovery_code=codes[0].lower())
    assert claims(served.client, first.body["access_token"])["amr"] == ["pwd", "recovery", "mfa"]
    token = challenged(served.client, name)
    assert finish(served.client, token, recovery_code=codes[0]).status == 401
    typed = f" {codes[1].replace('-', ' ')} "
    assert finish(served.client, token, recovery_code=typed).status == 200

    fresh = client.post("/v1/auth/recovery-codes").body["codes"]
    token = challenged(served.client, name)
    assert finish(served.client, token, recovery_code=codes[2]).status == 401
    assert finish(served.client, token, recovery_code=fresh[0]).status == 200


def test_anothers_recovery_code_is_worth_nothing(served: Served) -> None:
    """A code counts for the account it was made for."""
    _, mine, _ = with_totp(served)
    other, _, _ = with_totp(served)
    codes = mine.post("/v1/auth/recovery-codes").body["codes"]
    token = challenged(served.client, other["username"])
    assert finish(served.client, token, recovery_code=codes[0]).status == 401


def test_factors_are_changed_by_people_in_sessions(served: Served) -> None:
    """Neither a token outside a session nor a person's own API key changes a factor."""
    system = served.account(kind="system")
    issued = served.admin.post("/v1/token/issue", {"account_id": system["id"]})
    account = served.account()
    made = served.admin.post(f"/v1/accounts/{account['id']}/api-keys", {"name": "a key"})
    code = {"code": "123456"}
    for shown in (issued.body["access_token"], made.body["key"]):
        machine = served.client.with_token(shown)
        for answer in (
            machine.post("/v1/auth/totp"),
            machine.post("/v1/auth/totp/confirm", code),
            machine.delete("/v1/auth/totp", body=code),
            machine.post("/v1/auth/recovery-codes"),
        ):
            assert answer.status == 403, answer.raw
            assert answer.body["type"].endswith(("stale-sign-in", "forbidden"))


def test_a_lost_answer_is_shown_again(served: Served) -> None:
    """The same Idempotency-Key gives the same secret and the same codes; nothing is made twice."""
    account, client = served.signed_in()
    for path, topic in (
        ("/v1/auth/totp", "totp.offered"),
        ("/v1/auth/recovery-codes", "recovery_codes.generated"),
    ):
        headers = {"Idempotency-Key": f"lost-{account['id']}"}
        first, again = (client.post(path, {}, headers=headers) for _ in range(2))
        assert first.raw == again.raw
        assert len(served.events(f"&account={account['id']}&type={topic}")) == 1
