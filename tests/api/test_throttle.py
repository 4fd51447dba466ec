"""The limits of one address: shared by all workers, bounded, and never switched off by breaking."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gatebook.domain.errors import StoreUnavailable
from gatebook.store import throttle
from gatebook.store.setting_sections import Limits
from gatebook.store.throttle import Bucket, Throttle, buckets_of
from tests.api.browser import Browser
from tests.api.served import ADMIN, ADMIN_PASSWORD, BOOTSTRAP_TOKEN, Deployment
from tests.attacks.tools import at_once

SECOND = 1_000_000
HOME = "192.0.2.1"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_800_000_000 * SECOND

    def now(self) -> int:
        return self.at


def _derive(_purpose: str, *parts: bytes) -> bytes:
    return b"|".join(parts).ljust(16, b"\0")[-16:]


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def buckets(tmp_path: Path, clock: Clock):
    """A throttle of three at once and one a second."""
    made = Throttle(
        tmp_path / "slots" / "throttle.db", {"login": Bucket(3, SECOND)}, _derive, clock.now
    )
    yield made
    made.close()


def test_burst_and_refill(buckets: Throttle, clock: Clock) -> None:
    """Three at once, then one a second; what is refused costs nothing of the next."""
    assert [buckets.take("login", HOME) for _ in range(5)] == [0, 0, 0, 1, 1]
    clock.at += SECOND
    assert [buckets.take("login", HOME) for _ in range(2)] == [0, 1]
    clock.at += 60 * SECOND
    assert [buckets.take("login", HOME) for _ in range(4)] == [0, 0, 0, 1]


def test_each_network_has_its_own(buckets: Throttle) -> None:
    """Another address is untouched; all of an IPv6 /64 is one; a mapped address is its IPv4."""
    for _ in range(3):
        assert buckets.take("login", HOME) == 0
    assert buckets.take("login", "::ffff:192.0.2.1") == 1
    assert buckets.take("login", "192.0.2.2") == 0
    for number in range(3):
        assert buckets.take("login", f"2001:db8::{number}") == 0
    assert buckets.take("login", "2001:db8::ffff:1") == 1
    assert buckets.take("login", "2001:db8:0:1::") == 0
    assert buckets.take("login", "not an address") == 0


def test_a_clock_set_back_shuts_nobody_out(buckets: Throttle, clock: Clock) -> None:
    """After a day's jump back the wait is that of an empty bucket, no more."""
    for _ in range(3):
        buckets.take("login", HOME)
    clock.at -= 86_400 * SECOND
    assert buckets.take("login", HOME) == 1
    clock.at += 2 * SECOND
    assert buckets.take("login", HOME) == 0


def test_what_has_no_bucket_has_no_limit(buckets: Throttle) -> None:
    """Requests are not limited unless the settings say so."""
    assert {buckets.take("request", HOME) for _ in range(50)} == {0}
    assert "request" not in buckets_of(Limits())
    assert buckets_of(Limits(requests_per_second=50))["request"] == Bucket(50, SECOND // 50)
    assert buckets_of(Limits())["login"] == Bucket(10, 12 * SECOND)


def test_two_processes_share(buckets: Throttle, clock: Clock, tmp_path: Path) -> None:
    """What another process took is gone here too, and racing threads take no more than there is."""
    path = tmp_path / "slots" / "throttle.db"
    with closing(Throttle(path, {"login": Bucket(3, SECOND)}, _derive, clock.now)) as other:
        both = (buckets, other)
        taken = at_once(16, lambda number: both[number % 2].take("login", HOME))
    assert sorted(taken) == [0] * 3 + [1] * 13


def test_it_is_bounded(
    buckets: Throttle, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets that are full again are forgotten, and beyond a number those nearest to it."""
    monkeypatch.setattr(throttle, "SWEEP_EVERY", 2)
    monkeypatch.setattr(throttle, "MOST", 20)
    for number in range(100):
        buckets.take("login", f"10.0.0.{number}")

    def rows() -> int:
        with closing(sqlite3.connect(tmp_path / "slots" / "throttle.db")) as database:
            return int(database.execute("SELECT count(*) FROM buckets").fetchone()[0])

    assert rows() <= 22
    clock.at += 10 * SECOND
    for _ in range(2):
        buckets.take("login", HOME)
    assert rows() == 1


def test_no_address_is_written_down(buckets: Throttle, tmp_path: Path) -> None:
    """The file holds keyed hashes and is its owner's alone."""
    buckets.take("login", HOME)
    path = tmp_path / "slots" / "throttle.db"
    with closing(sqlite3.connect(path)) as database:
        [(source,)] = database.execute("SELECT source FROM buckets").fetchall()
    assert source == _derive("throttle", b"login", bytes([192, 0, 2, 1]))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_locked_file_refuses(buckets: Throttle, tmp_path: Path) -> None:
    """While somebody holds the file shut, attempts are refused, not let through."""
    assert buckets.take("login", HOME) == 0
    with closing(sqlite3.connect(tmp_path / "slots" / "throttle.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            buckets.take("login", HOME)
    assert buckets.take("login", HOME) == 0


def test_a_spoilt_file_is_replaced(buckets: Throttle, tmp_path: Path) -> None:
    """Damage refuses one attempt, and the next begins a new file."""
    assert buckets.take("login", HOME) == 0
    buckets.close()
    path = tmp_path / "slots" / "throttle.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(StoreUnavailable):
        buckets.take("login", HOME)
    assert [buckets.take("login", HOME) for _ in range(4)] == [0, 0, 0, 1]


def test_a_removed_file_comes_back(buckets: Throttle, tmp_path: Path) -> None:
    """An operator may delete it at any time."""
    buckets.take("login", HOME)
    for path in (tmp_path / "slots").glob("throttle.db*"):
        path.unlink()
    assert [buckets.take("login", HOME) for _ in range(4)] == [0, 0, 0, 1]


def _limited(directory: Path, limits: str, *, admin: bool = True) -> Deployment:
    deployment = Deployment(directory, "sqlite:///gatebook.db", server="workers = 2")
    text = deployment.config.read_text()
    text = text.replace("login_per_minute = 1000000\nlogin_burst = 1000000", limits)
    deployment.config.write_text(text)
    deployment.create(admin=admin)
    return deployment


def test_logins_over_http(tmp_path: Path) -> None:
    """Beyond the burst: 429 with Retry-After, unread, on every worker; other requests go on."""
    deployment = _limited(tmp_path, "login_per_minute = 2\nlogin_burst = 6")
    with deployment.served() as served:
        body = {"username": ADMIN, "password": ADMIN_PASSWORD}
        answers = at_once(20, lambda _n: served.client.post("/v1/auth/login", body))
        assert sorted(answer.status for answer in answers) == [200] * 6 + [429] * 14
        refused = served.client.post("/v1/auth/login", raw=b"{", headers={"X-Forwarded-For": "::1"})
        assert refused.status == 429
        assert refused.body["type"].endswith("too-many-attempts")
        assert 1 <= int(refused.headers["Retry-After"]) <= 30
        assert served.client.get("/v1/ready").status == 200
        token = next(one.body["access_token"] for one in answers if one.status == 200)
        me = served.client.with_token(token)
        before = [e["type"] for e in me.get("/v1/audit?limit=500").body["items"]]
        served.client.post("/v1/auth/login", body)
        assert [e["type"] for e in me.get("/v1/audit?limit=500").body["items"]] == before


def test_bootstrap_over_http(tmp_path: Path) -> None:
    """Guesses at the bootstrap token are limited alike."""
    deployment = _limited(tmp_path, "login_per_minute = 1\nlogin_burst = 3", admin=False)
    with deployment.served() as served:
        body = {"token": "wrong", "username": "root", "password": ADMIN_PASSWORD}
        answers = [served.client.post("/v1/bootstrap", body).status for _ in range(3)]
        assert answers == [401] * 3
        right = body | {"token": BOOTSTRAP_TOKEN}
        assert served.client.post("/v1/bootstrap", right).status == 429


def test_requests_per_second(tmp_path: Path) -> None:
    """With [limits] requests_per_second every route but health is limited, unknown ones too."""
    deployment = _limited(tmp_path, "requests_per_second = 5")
    with deployment.served(settle=False) as served:
        answers = [served.client.get("/v1/bootstrap").status for _ in range(40)]
        assert answers.count(200) >= 5
        assert answers.count(429) >= 20
        assert served.client.get("/v1/nothing").status in (404, 429)
        assert {served.client.get("/v1/health").status for _ in range(20)} == {200}


def test_a_broken_throttle_lets_no_login_through(tmp_path: Path) -> None:
    """While its file cannot be used a sign-in is 503, and everything else goes on."""
    deployment = _limited(tmp_path, "login_per_minute = 5\nlogin_burst = 10")
    with deployment.served() as served:
        browser = Browser(served.client)
        assert browser.login(ADMIN, ADMIN_PASSWORD).status == 200
        with closing(sqlite3.connect(tmp_path / "slots" / "throttle.db")) as holder:
            holder.execute("BEGIN IMMEDIATE")
            answer = Browser(served.client).login(ADMIN, ADMIN_PASSWORD)
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
            assert browser.get("/v1/auth/me").status == 200
        assert Browser(served.client).login(ADMIN, ADMIN_PASSWORD).status == 200


def test_another_sites_page_uses_up_nothing(tmp_path: Path) -> None:
    """A visitor of a hostile page can still sign in: its requests are refused before they count."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    text = deployment.config.read_text().replace("login_burst = 1000000", "login_burst = 3")
    deployment.config.write_text(text.replace("login_per_minute = 1000000", "login_per_minute = 1"))
    deployment.create()
    with deployment.served() as server:
        hostile = {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
        for _ in range(10):
            answer = server.client.call("POST", "/v1/auth/login", raw=b"{}", headers=hostile)
            assert answer.status == 403
        assert server.client.login(ADMIN, ADMIN_PASSWORD)
