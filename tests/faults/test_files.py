"""Files that are taken away or changed under a running server."""

from __future__ import annotations

import json
import re
import shutil

from tests.api.served import PASSWORD, Deployment, Served
from tests.system.evidence import check_store, house_of
from tests.system.family import all_ready, children, kill, replaced, until
from tests.system.test_outage import watched


def test_a_keyring_that_is_gone(sqlite: Deployment) -> None:
    """What needs a key is refused within a second, and said; with the file back all goes on."""
    path = sqlite.directory / "gatebook.keys.db"
    with watched(sqlite) as witness:
        client = witness.served.client
        away = path.with_name("elsewhere")
        path.rename(away)
        try:
            until("it is said", lambda: client.get("/v1/ready").status == 503)
            problems = client.get("/v1/ready").body["problems"]
            assert problems == ["The keyring cannot be used (StoreUnavailable)."]
            login = {"username": witness.account["username"], "password": PASSWORD}
            until("keys are missed", lambda: client.post("/v1/auth/login", login).status == 503, 3)
            token = {"token": str(witness.own.token)}
            assert witness.own.post("/v1/token/validate", token).body["valid"]
            assert not path.exists(), "an empty keyring was made in its place"
        finally:
            away.rename(path)
        took = until("it is ready again", lambda: client.get("/v1/ready").status == 200)
        print(f"\nready {took:.2f} s after the keyring was back")
        assert client.login(witness.account["username"], PASSWORD)


def test_a_keyring_that_is_replaced_by_an_older_one(sqlite: Deployment) -> None:
    """Who came after the copy cannot sign in and has no name; nothing of his is overwritten."""
    path = sqlite.directory / "gatebook.keys.db"
    copy, newest = sqlite.directory / "copy", sqlite.directory / "newest"
    with sqlite.served() as served:
        all_ready(served)
        before = served.account()
        shutil.copyfile(path, copy)
        after, own = served.signed_in("viewer")
        path.rename(newest)
        copy.rename(path)
        path.chmod(0o600)
        login = {"username": after["username"], "password": PASSWORD}
        until(
            "the key is missed", lambda: served.client.post("/v1/auth/login", login).status != 200
        )
        refused = served.client.post("/v1/auth/login", login)
        assert refused.status in (401, 503)
        assert served.token(before["username"])
        assert own.post("/v1/token/validate", {"token": str(own.token)}).body["valid"]
        shown = served.admin.get(f"/v1/accounts/{after['id']}")
        assert shown.status in (200, 503)
        print(f"\nsign-in {refused.status}, shown {shown.status}: {shown.raw!r}")
        path.rename(copy)
        newest.rename(path)
        until("the key is back", lambda: served.client.post("/v1/auth/login", login).status == 200)
        assert served.admin.get(f"/v1/accounts/{after['id']}").body["username"] == after["username"]
    assert "Traceback" not in sqlite.log()
    with house_of(sqlite) as house:
        check_store(house)


def test_the_counters_directory_is_removed(sqlite: Deployment) -> None:
    """It is made again, or sign-ins are refused; no limit is lifted by it, nothing else ends."""
    with sqlite.served() as served:
        all_ready(served)
        account, own = served.signed_in("viewer")
        shutil.rmtree(sqlite.directory / "slots")
        login = {"username": account["username"], "password": PASSWORD}
        said = [served.client.post("/v1/auth/login", login).status for _ in range(6)]
        print(f"\nsign-ins afterwards: {said}")
        assert own.post("/v1/token/validate", {"token": str(own.token)}).body["valid"]
        assert served.client.get("/v1/health").status == 200
        assert set(said) == {200}
        assert served.admin.get("/metrics").status == 200
        assert (sqlite.directory / "slots").stat().st_mode & 0o077 == 0
    text = sqlite.log()
    assert "Traceback" not in text
    errors = [json.loads(line) for line in text.splitlines() if '"gatebook.error"' in line]
    assert errors == []


def test_a_dead_worker_leaves_its_counts_and_not_their_room(sqlite: Deployment) -> None:
    """What it counted is still shown, and its files are as short as they can be."""
    with sqlite.served() as served:
        all_ready(served)
        before = children(served, "worker")
        shown = requests(served)
        kill(before[0])
        replaced(served, "worker", before)
        all_ready(served)
        assert requests(served) >= shown
        files = list((sqlite.directory / "slots" / "metrics").glob(f"*_{before[0]}.db"))
        assert files
        assert max(path.stat().st_size for path in files) < 256 * 1024
        for path in (sqlite.directory / "slots" / "metrics").glob(f"*_{before[1]}.db"):
            found = path.stat()
            assert found.st_blocks * 512 >= found.st_size, "a page has no room of its own"


def requests(served: Served) -> float:
    text = served.admin.get("/metrics").raw.decode()
    return sum(float(n) for n in re.findall(r"gatebook_requests_total\{.*\} (\S+)", text))
