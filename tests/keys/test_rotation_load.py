"""E18: the master key is rotated under a running server of two workers, with everybody at work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain import custody
from gatebook.store.master_key import WrongMasterKey
from gatebook.store.rotation import custody_events
from tests.api.served import ELSEWHERE, PASSWORD, Client, Deployment, Served
from tests.keys.conftest import OTHER, PASSPHRASE, configure, opened_house, private
from tests.keys.filling import fill
from tests.system.evidence import check_store
from tests.system.family import until

PROGRAM = [str(Path(sys.executable).parent / "gatebook")]


class Load:
    """Clients that do one thing each, again and again, and note whatever is not as it should be."""

    def __init__(self, served: Served) -> None:
        self.wrong: list[str] = []
        self.done: dict[str, int] = {}
        self.erased: list[str] = []
        self._served = served
        self._admin = served.admin
        self._stop = threading.Event()
        self._number = 0
        self._guard = threading.Lock()
        account = served.account("viewer")
        self._username = account["username"]
        self._threads = [
            threading.Thread(target=self._run, args=(kind,))
            for kind in (self._sign_in, self._renew, self._validate, self._create, self._erase)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, turn: Any) -> None:
        state: dict[str, Any] = {}
        while not self._stop.is_set():
            try:
                turn(state)
            except Exception as error:
                self.wrong.append(f"{turn.__name__}: {error!r}")
                state.clear()
            name = turn.__name__
            self.done[name] = self.done.get(name, 0) + 1

    def _expect(self, status: int, answer: Any) -> Any:
        assert answer.status == status, (answer.status, answer.raw)
        return answer.body

    def _client(self) -> Client:
        return self._served.client

    def _sign_in(self, _state: dict[str, Any]) -> None:
        self._client().login(self._username, PASSWORD)

    def _renew(self, state: dict[str, Any]) -> None:
        if not state:
            state.update(self._client().login(self._username, PASSWORD))
        body = {"refresh_token": state["refresh_token"]}
        state.update(
            self._expect(200, self._client().post("/v1/auth/renew", body, headers=ELSEWHERE))
        )

    def _validate(self, _state: dict[str, Any]) -> None:
        body = {"token": self._admin.token}
        assert self._expect(200, self._client().post("/v1/token/validate", body))["valid"] is True

    def _create(self, _state: dict[str, Any]) -> Any:
        with self._guard:
            self._number += 1
            name = f"under-load-{self._number}"
        body = {"username": name, "type": "human", "password": PASSWORD}
        return self._expect(201, self._admin.post("/v1/accounts", body))

    def _erase(self, state: dict[str, Any]) -> None:
        account = self._create(state)
        account_id = account["id"]
        shown = self._expect(200, self._admin.get(f"/v1/accounts/{account_id}"))
        confirm = {"confirm": shown["username"]}
        self._expect(204, self._admin.post(f"/v1/accounts/{account_id}/erase", confirm))
        self.erased.append(account_id)


def rotate(deployment: Deployment, *source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--config", str(deployment.config), "--json", "key", "rotate-master", *source],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_no_request_fails_and_the_old_passphrase_opens_nothing(deployment: Deployment) -> None:
    """E18. Everybody is at work before, during and after; afterwards all is under the new key."""
    private(deployment.directory / "old", PASSPHRASE)
    private(deployment.directory / "new", OTHER)
    assert (
        rotate(deployment, "--passphrase-file", str(deployment.directory / "old")).returncode == 0
    )
    house = opened_house(deployment, passphrase_file="old")
    fill(house, 5_000)
    former = house.masters.id
    house.close()
    with deployment.served() as served:
        with Load(served) as load:
            time.sleep(1.0)
            done = rotate(deployment, "--passphrase-file", str(deployment.directory / "new"))
            assert done.returncode == 0, done.stderr
            configure(deployment, passphrase_file="new")
            os.kill(served.process.pid, signal.SIGHUP)
            until("all have reloaded", lambda: deployment.log().count('"reloaded"') >= 1)
            time.sleep(1.0)
        assert load.wrong == []
        assert min(load.done.values()) > 5, load.done
        assert len(load.done) == 5
        assert '"died"' not in deployment.log()
    print(f"\n{load.done}, {done.stdout}")
    house = opened_house(deployment)
    assert house.masters.id != former
    for name in house.keyring.names(""):
        row = house.key_table.get(name)
        assert row is not None
        assert name == "master" or row[:8] == house.masters.id
    assert not [one for one in load.erased if house.keyring.has(f"subject:{one}")]
    check_store(house)
    last = custody_events(house)[-1]
    assert isinstance(last, custody.MasterKeyRotated)
    assert last.former_id == former.hex()
    house.close()
    with pytest.raises(WrongMasterKey, match="former master key"):
        opened_house(deployment, passphrase_file="old")
    refused = subprocess.run(
        [*PROGRAM, "--config", str(deployment.config), "serve"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 78
    assert "former master key" in refused.stderr
    for secret in (PASSPHRASE, OTHER):
        assert secret not in deployment.log() + refused.stderr + done.stderr + done.stdout


def test_kill_9_at_random_moments(deployment: Deployment) -> None:
    """The command is killed again and again beside a server; run to its end, all is well."""
    dice = random.Random(7)
    house = opened_house(deployment)
    fill(house, 20_000)
    former = house.masters.id
    house.close()
    command = [*PROGRAM, "--config", str(deployment.config), "key", "rotate-master"]
    command += ["--key-file", str(deployment.directory / "new"), "--generate"]
    killed = 0
    with deployment.served() as served, Load(served) as load:
        for _ in range(5):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                process.wait(dice.uniform(0.8, 4.0))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            process.communicate()
        done = rotate(deployment, "--key-file", str(deployment.directory / "new"), "--generate")
        assert done.returncode == 0, done.stderr
        configure(deployment, key_file="new")
        os.kill(served.process.pid, signal.SIGHUP)
        until("all have reloaded", lambda: deployment.log().count('"reloaded"') >= 1)
    assert load.wrong == []
    assert killed >= 2
    house = opened_house(deployment)
    try:
        assert house.masters.id != former
        assert house.key_table.counts(house.masters.id)[1] == 0
        kinds = [type(event) for event in custody_events(house)]
        assert kinds.count(custody.MasterKeyRotationStarted) == 1
        assert kinds.count(custody.MasterKeyRotated) == 1
        check_store(house)
    finally:
        house.close()
