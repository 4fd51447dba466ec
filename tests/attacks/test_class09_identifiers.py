"""Class 9, canonicalisation of identifiers.

Authelia CVE-2025-24806, CVE-2026-47203; Vault CVE-2025-6004, -6013; oauth2-proxy CVE-2026-40574;
Okta 2024.
"""

from __future__ import annotations

import json

import pytest

from gatebook.api.break_glass import uuid_of
from gatebook.domain.application.break_glass import EmergencySignIn
from gatebook.domain.application.core import By
from gatebook.domain.envelope import ANONYMOUS, Source
from gatebook.domain.errors import InvalidCredentials
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from tests.api.emergency import CREDENTIALS, EMERGENCY, WRONG
from tests.api.served import PASSWORD, Served
from tests.attacks.tools import program

SAME = [
    ("Upper-Case", "upper-case"),
    ("\uff26\uff35\uff2c\uff2cwidth", "fullwidth"),
    ("re\u0301sume\u0301", "résumé"),
    ("ÅNGSTRÖM", "ångström"),
    ("ÇELIK", "çelik"),
    ("ΑΒΓ", "αβγ"),
    ("ДОМ", "дом"),
    ("kelvin-\u212a", "kelvin-k"),
    ("ｶﾞ-kana", "ガ-kana"),
]
DIFFERENT = [
    ("paypal", "pаypal"),  # noqa: RUF001 - the Cyrillic letter is the point
    ("strasse-9", "straße-9"),
    ("dotless-i", "dotless-ı"),  # noqa: RUF001 - as above
    ("odos-σ", "odos-ς"),  # noqa: RUF001 - as above
    ("rn-modern", "m-modern"),
]
REFUSED = [
    "",
    " ",
    "two words",
    " before",
    "after ",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "zero\u200bwidth",
    "bom\ufeff",
    "soft\u00adhyphen",
    "rtl\u202eover",
    "isolate\u2066d",
    "no\u00a0break",
    "ligature-ﬁ",
    "circled-①",
    "long-\u017f",
    "half-½",
    "emoji-😀",
    "../../etc/passwd",
    "back\\slash",
    "private-\ue000",
    "noncharacter-\uffff",
    "tag-\U000e0041",
    "x" * 65,
    "ﷺ" * 4,
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_name(served: Served, one: str, other: str) -> None:
    """Spellings of one name are one account, one lock and one credential."""
    body = {"username": one, "type": "human", "password": PASSWORD}
    created = served.admin.post("/v1/accounts", body)
    assert created.status == 201, created.raw
    taken = served.admin.post("/v1/accounts", {**body, "username": other})
    assert (taken.status, taken.body["type"].rpartition("/")[2]) == (409, "username-taken")

    assert served.client.login(other, PASSWORD)["account_id"] == created.body["id"]
    for number in range(5):
        wrong = {"username": (one, other)[number % 2], "password": "wrong tractor 1234"}
        assert served.client.post("/v1/auth/login", wrong).status == 401
    for name in (one, other):
        right = {"username": name, "password": PASSWORD}
        assert served.client.post("/v1/auth/login", right).status == 401
    failed = served.events(f"&account={created.body['id']}&type=login.failed")
    assert [event["data"]["failures"] for event in failed] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_names(served: Served, one: str, other: str) -> None:
    """Names that only look alike are never taken for each other."""
    passwords = {one: PASSWORD, other: "another tractor altogether 5"}
    ids = {}
    for name, password in passwords.items():
        body = {"username": name, "type": "human", "password": password}
        ids[name] = served.admin.post("/v1/accounts", body).body["id"]
    for name, password in passwords.items():
        assert served.client.login(name, password)["account_id"] == ids[name]
        foreign = passwords[other if name == one else one]
        body = {"username": name, "password": foreign}
        assert served.client.post("/v1/auth/login", body).status == 401


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_no_name(served: Served, name: str) -> None:
    """What PRECIS forbids is a 400 at creation and renaming, and an ordinary 401 at sign-in."""
    account = served.account()
    body = {"username": name, "type": "system"}

    assert served.admin.post("/v1/accounts", body).status == 400
    path = f"/v1/accounts/{account['id']}"
    assert served.admin.patch(path, {"username": name}).status == 400
    login = {"username": name, "password": PASSWORD}
    assert served.client.post("/v1/auth/login", login).status == 401


def test_a_name_given_up_takes_nothing_with_it(served: Served) -> None:
    """Whoever gets a former name gets neither sessions nor roles nor the lock of its owner."""
    alice, client = served.signed_in("viewer")
    name = alice["username"]
    path = f"/v1/accounts/{alice['id']}"
    assert served.admin.patch(path, {"username": f"{name}-new"}).status == 200
    body = {"username": name, "type": "human", "password": "the next tractor 77 owner"}
    heir = served.admin.post("/v1/accounts", body)

    assert heir.status == 201
    assert client.get("/v1/auth/me").body["account"]["id"] == alice["id"]
    assert heir.body["roles"] == []
    wrong = {"username": name, "password": PASSWORD}
    assert served.client.post("/v1/auth/login", wrong).status == 401
    assert served.client.login(f"{name}-new", PASSWORD)["account_id"] == alice["id"]
    assert served.admin.patch(path, {"username": name.upper()}).status == 409


def test_names_of_the_gone_stay_reserved(served: Served) -> None:
    """The name of a deleted and of an erased account is not to be had again."""
    account = served.account()
    path, body = f"/v1/accounts/{account['id']}", {"username": account["username"], "type": "human"}
    assert served.admin.delete(path).status == 204
    assert served.admin.post("/v1/accounts", body).status == 409
    erasure = {"confirm": account["username"]}
    assert served.admin.post(f"{path}/erase", erasure).status == 204
    assert served.admin.post("/v1/accounts", body).status == 409


@pytest.mark.parametrize("tail", ["", "x", "é", "\u0301"])
def test_every_byte_of_a_password_counts(served: Served, tail: str) -> None:
    """No 72-byte limit, no NUL that ends it, no trimming."""
    long = "correct horse battery staple tractor lamp violet " * 3
    account = served.account(password=long + "end" + tail)
    for wrong in (long, long + "enD" + tail, long + "end" + tail + " ", " " + long + "end" + tail):
        body = {"username": account["username"], "password": wrong}
        assert served.client.post("/v1/auth/login", body).status == 401
    assert served.client.login(account["username"], long + "end" + tail)


def test_a_password_is_one_in_every_normal_form(served: Served) -> None:
    """Set in NFD, used in NFC, and the reverse, on every path."""
    composed, parted = (
        "Ünïcödé träctor pâssword",
        "U\u0308ni\u0308co\u0308de\u0301 tra\u0308ctor pa\u0302ssword",
    )
    for one, other in ((composed, parted), (parted, composed)):
        account = served.account(password=one)
        client = served.client.with_token(served.token(account["username"], other))
        change = {"current_password": other, "new_password": f"{one} again"}
        assert client.put("/v1/auth/password", change).status == 204
        assert served.token(account["username"], f"{other} again")


def test_the_command_line_names_the_account_it_says(served: Served) -> None:
    """Two accounts whose names have one case folding are not taken for each other."""
    ids = {}
    for name in ("weiß-cli", "weiss-cli"):
        body = {"username": name, "type": "human"}
        ids[name] = served.admin.post("/v1/accounts", body).body["id"]

    for name, account_id in ids.items():
        shown = program(served.deployment, "--json", "account", "show", name)
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["id"] == account_id, name


def test_a_username_is_not_an_id(served: Served) -> None:
    """Nobody is called what another account's id is, in any spelling of it."""
    victim = served.account()
    for name in (victim["id"], victim["id"].upper(), victim["id"].replace("-", "")):
        assert served.admin.post("/v1/accounts", {"username": name, "type": "human"}).status == 400


def test_an_account_id_in_another_spelling(served: Served) -> None:
    """Break-glass: an id in capitals is the same account and counter; other forms are no id."""
    account = served.account("admin")
    body = {"account_id": account["id"], "password": EMERGENCY}
    assert served.admin.post(CREDENTIALS, body).status == 201
    house = open_house(Settings.load(served.deployment.config, {}))
    try:
        for number, spelled in enumerate(
            (
                account["id"].upper(),
                "{" + account["id"] + "}",
                f"urn:uuid:{account['id']}",
                account["id"].replace("-", ""),
                f" {account['id']}",
                f"{account['id']}\0",
            )
        ):
            read = uuid_of(spelled)
            assert (read is not None) == (number == 0), spelled
            sign_in = EmergencySignIn(spelled, read, house.plaintext(WRONG))
            by = By(actor=ANONYMOUS, request_id="spelling", source=Source("192.0.2.9", "other"))
            with pytest.raises(InvalidCredentials):
                house.break_glass.login(by, sign_in)
    finally:
        house.close()
    failed = served.events(f"&account={account['id']}&type=breakglass.login_failed")
    assert [event["data"]["failures"] for event in failed] == [1, 1]
