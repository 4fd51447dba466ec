"""What a request costs, in counts and not in time: so the machine's mood is no reason to fail.

A bound stands a little above what was counted when it was written. Who goes beyond it makes every
request slower: that needs a reason, and a new bound with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.budget.asked import Asked

TOKEN = {"grant_type": "client_credentials"}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """Gatebook, with a first admin."""
    made = Asked(tmp_path, monkeypatch)
    yield made
    made.house.close()


def test_a_hot_token_is_one_look_up(asked: Asked) -> None:
    """Whether it was revoked is asked of one row; its signature is not checked again."""
    body = {"token": asked.login()["access_token"]}
    assert asked.call("POST", "/v1/token/validate", body)["valid"]
    with asked.counted() as work:
        asked.call("POST", "/v1/token/validate", body)
    assert (work.asked, work.commits, work.decoded) == (1, 0, 0)
    assert work.calls <= 320  # 287


def test_introspection(asked: Asked) -> None:
    """The client's key and settings, and the token."""
    body, client = {"token": asked.login()["access_token"]}, asked.client()
    assert asked.call("POST", "/oauth2/introspect", body, client)["active"]
    with asked.counted() as work:
        asked.call("POST", "/oauth2/introspect", body, client)
    assert work.asked <= 4
    assert (work.commits, work.decoded) == (0, 0)
    assert work.calls <= 620  # 577


def test_published_keys(asked: Asked) -> None:
    """JWKS: the keys as the read model has them."""
    asked.call("GET", "/.well-known/jwks.json")
    with asked.counted() as work:
        asked.call("GET", "/.well-known/jwks.json")
    assert work.asked <= 1
    assert (work.commits, work.decoded) == (0, 0)


def test_a_token_for_a_client_is_one_commit(asked: Asked) -> None:
    """Recorded and durable: one fsync; and few events are decoded for it."""
    client = asked.client()
    asked.call("POST", "/oauth2/token", TOKEN, client)
    with asked.counted() as work:
        asked.call("POST", "/oauth2/token", TOKEN, client)
    assert work.commits == 1
    assert work.asked <= 14
    assert work.decoded <= 1
    assert work.calls <= 1_150  # 1,048


def test_tokens_that_wait_together_share_a_commit(asked: Asked) -> None:
    """However many ask while the disk is busy: the next commit has them all."""
    client, held, release = asked.client(), threading.Event(), threading.Event()
    asked.call("POST", "/oauth2/token", TOKEN, client)  # a key's first use is noted, in a commit

    def hold(_tx: object) -> None:
        held.set()
        release.wait(10)

    def ask() -> None:
        asked.call("POST", "/oauth2/token", TOKEN, client)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    holder = threading.Thread(target=lambda: asked.house.store.transact(hold))
    with asked.counted() as work:
        holder.start()
        assert held.wait(10)
        for thread in threads:
            thread.start()
        for _ in range(1_000):
            if asked.house.store.waiting() == len(threads):
                break
            threading.Event().wait(0.01)
        assert asked.house.store.waiting() == len(threads)
        release.set()
        for thread in (holder, *threads):
            thread.join()
    assert work.commits == 2  # the holder's and theirs


@pytest.mark.parametrize("renewals", [1, 100])
def test_a_renewal_costs_the_same_after_a_month(asked: Asked, renewals: int) -> None:
    """The hundredth renewal of a session reads no more than the second."""
    refresh = asked.login()["refresh_token"]
    for _ in range(renewals):
        refresh = asked.call("POST", "/v1/auth/renew", {"refresh_token": refresh})["refresh_token"]
    with asked.counted() as work:
        asked.call("POST", "/v1/auth/renew", {"refresh_token": refresh})
    assert work.commits == 1
    assert work.asked <= 7
    assert work.decoded <= 2
    assert work.calls <= 800  # 701


def test_a_sign_in(asked: Asked) -> None:
    """The guess is reserved and settled (two commits), then the sign-in is recorded (one)."""
    asked.login()
    with asked.counted() as work:
        asked.login()
    assert work.commits <= 3
    assert work.asked <= 20
    assert work.decoded <= 3


def test_what_a_token_takes_in_the_log(asked: Asked) -> None:
    """Payload and metadata of a token and of a renewal, sealed source included."""
    client = asked.client()
    asked.call("POST", "/oauth2/token", TOKEN, client)
    refresh = asked.login()["refresh_token"]
    asked.call("POST", "/v1/auth/renew", {"refresh_token": refresh})
    sizes = dict(
        asked.house.store.query(
            "SELECT topic, max(length(payload) + length(metadata)) FROM log GROUP BY topic"
        )
    )
    assert int(str(sizes["token.issued.1"])) <= 260
    assert int(str(sizes["session.rotated.1"])) <= 220
