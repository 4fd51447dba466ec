"""The restore drill: a served deployment, backed up beside its load, and begun again elsewhere."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from gatebook.tools.main import run as gatebook
from gatebook.tools.verify import Key, verify
from tests.api.served import PASSWORD, Deployment, Served

ISSUER = '[tokens]\nissuer = "https://gatebook.example.org"'
"""One for both: the two listen on ports of their own."""


class Drill:
    """A deployment that runs, and the place for another that is restored from its backup."""

    def __init__(self, request, tmp_path, kind):
        self.directory = tmp_path
        self.server = request.getfixturevalue("postgres") if kind == "postgresql" else None
        self.urls = [self._url(), self._url()]
        (tmp_path / "lost").mkdir()
        (tmp_path / "found").mkdir()
        self.lost = Deployment(tmp_path / "lost", self.urls[0], server="workers = 1", more=ISSUER)
        self.lost.create()
        self.found = Deployment(tmp_path / "found", self.urls[1], server="workers = 1", more=ISSUER)
        shutil.copy(tmp_path / "lost" / "master.key", tmp_path / "found" / "master.key")
        self.log, self.keys = str(tmp_path / "log.backup"), str(tmp_path / "keys.backup")

    def _url(self):
        return "sqlite:///gatebook.db" if self.server is None else self.server.url()

    def run(self, deployment, *words):
        """A command that succeeds."""
        assert gatebook(["--config", str(deployment.config), *words]) == 0, words

    def back_up(self):
        self.run(self.lost, "store", "backup", self.log, "--keyring", self.keys)

    def restore(self, *more):
        self.run(self.found, "store", "restore", self.log, *more)

    def latest_keys(self):
        """The keyring as it is now, after the log's backup."""
        path = str(self.directory / "latest.keys")
        self.run(self.lost, "store", "backup", str(self.directory / "other"), "--keyring", path)
        return path


@pytest.fixture(params=["sqlite", "postgresql"])
def drill(request, tmp_path):
    """Each test's own two deployments."""
    made = Drill(request, tmp_path, request.param)
    yield made
    if made.server is not None:
        for url in made.urls:
            made.server.drop(url)


def judged(client, token):
    """What a server says of a token: who it is, or why not."""
    return client.with_token(token).get("/v1/auth/me").status


def renew(client, pair):
    """Shows a refresh token."""
    return client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]})


def erase(served, account):
    """Somebody is forgotten."""
    body = {"confirm": account["username"]}
    assert served.admin.post(f"/v1/accounts/{account['id']}/erase", body).status == 204


class Before:
    """What a deployment held when it was backed up."""

    def __init__(self, served: Served):
        self.name = served.account("viewer")["username"]
        self.valid = served.client.login(self.name, PASSWORD)
        self.other = served.client.login(self.name, PASSWORD)
        self.revoked = served.token(self.name)
        ended = served.client.with_token(self.revoked).post("/v1/auth/logout")
        assert ended.status == 204, ended.raw
        self.locked = served.account()["username"]
        for _ in range(5):
            body = {"username": self.locked, "password": "not the password at all"}
            assert served.client.post("/v1/auth/login", body).status == 401
        erased = served.account()
        self.erased = erased["id"]
        erase(served, erased)
        self.leaver = served.account()
        self.checkpoint = signed_head(served)


def signed_head(served: Served) -> str:
    """The newest head, once there is one."""
    for _ in range(200):
        answer = served.client.get("/v1/audit/checkpoint")
        if answer.status == 200:
            return answer.raw.decode()
        time.sleep(0.05)
    raise AssertionError(answer.raw)


def loaded(served, stop):
    """Signs people in, all the time."""
    account = served.account()
    while not stop.is_set():
        served.token(account["username"])


def back_up_beside_load(drill, served):
    """A backup is taken while people sign in."""
    stop = threading.Event()
    thread = threading.Thread(target=loaded, args=(served, stop))
    thread.start()
    try:
        drill.back_up()
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_the_drill(drill, capsys):
    """Same head, old tokens judged the same, the locked stay locked, the erased erased.

    A refresh token that was renewed after the backup counts once more. Its successor, which the
    restored log never gave, counts as reuse: it is refused and ends its session.
    """
    with drill.lost.served() as served:
        before = Before(served)
        back_up_beside_load(drill, served)
        after = served.account()["username"]
        key = Key.parse(served.client.get("/v1/audit/checkpoint/key").raw.decode())
        newer = renew(served.client, before.other).body
        assert renew(served.client, before.valid).status == 200
        erase(served, before.leaver)
        newest = drill.latest_keys()
    drill.restore("--keyring", newest)
    kept = [("kept", before.checkpoint.splitlines(keepends=True))]
    url = str(drill.urls[1]).replace("sqlite:///", f"sqlite:///{drill.directory}/found/")
    report = verify(url, [key], kept)
    assert report.ok, str(report)
    with drill.found.served() as served:
        client = served.client
        assert judged(client, before.valid["access_token"]) == 200
        assert judged(client, before.revoked) == 401
        locked = client.post("/v1/auth/login", {"username": before.locked, "password": PASSWORD})
        assert locked.status == 401
        assert client.login(before.name, PASSWORD)["access_token"]
        assert (
            client.post("/v1/auth/login", {"username": after, "password": PASSWORD}).status == 401
        )
        for gone in (before.erased, before.leaver["id"]):
            shown = served.admin.get(f"/v1/accounts/{gone}")
            assert shown.body.get("username") is None, shown.raw
        body = {"username": before.leaver["username"], "password": PASSWORD}
        assert client.post("/v1/auth/login", body).status == 401
        for old, answer in ((before.valid, 200), (newer, 401), (before.other, 401)):
            assert renew(client, old).status == answer
    drill.run(drill.found, "audit", "verify")
    drill.run(drill.found, "store", "verify")
    drill.found.check_log(set())
    capsys.readouterr()


def test_an_older_keyring_brings_back_whom_it_knew(drill, capsys):
    """What the runbook warns of: with the keyring of that day an erased person is back."""
    with drill.lost.served() as served:
        leaver = served.account()
        drill.back_up()
        erase(served, leaver)
    drill.restore("--keyring", drill.keys)
    with drill.found.served() as served:
        shown = served.admin.get(f"/v1/accounts/{leaver['id']}")
        assert shown.body["username"] == leaver["username"]
    capsys.readouterr()
