"""Three nodes on one PostgreSQL behind HAProxy, all of which fail in turn, under load."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from tests.api.served import ADMIN, ADMIN_PASSWORD, Client
from tests.postgres import Cluster, running_cluster
from tests.scale.load import Asker, Revoker, Validator, longest_silence
from tests.scale.nodes import Farm, farm
from tests.system.conftest import LONG
from tests.system.deeds import Writer
from tests.system.evidence import caught_up, check_store, house_of, lost
from tests.system.family import kill, until

BACK_IN = 15.0
"""Seconds in which the service must be back by itself, whatever was killed."""


class Load:
    """Writers, revokers and a validator, all by way of the balancer."""

    def __init__(self, group: Farm) -> None:
        token = group.front.login(ADMIN, ADMIN_PASSWORD)["access_token"]
        self.admin = group.front.with_token(token)
        nodes = [node.client for node in group.nodes]
        self.writers = [Writer(number) for number in range(3)]
        revokers = [Revoker(f"r{n}", group.front, self.admin, nodes) for n in range(2)]
        validator = Validator("v", group.front, self.admin, nodes)
        validator.token = token
        self.askers: list[Asker] = [*revokers, validator]
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=w.run, args=(group.front, self.admin, self.stop))
            for w in self.writers
        ] + [threading.Thread(target=asker.run, args=(self.stop,)) for asker in self.askers]
        self.group = group

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)

    def check(self) -> None:
        assert [writer.trouble for writer in self.writers] == [[]] * len(self.writers)
        assert [asker.wrong for asker in self.askers] == [[]] * len(self.askers)

    def answered(self) -> None:
        """Waits until writers and revokers have gone on."""
        before = sum(w.acknowledged for w in self.writers)
        began = time.monotonic()
        while sum(w.acknowledged for w in self.writers) < before + 10:
            assert time.monotonic() - began < BACK_IN, "no write is answered"
            self.check()
            time.sleep(0.05)


def disturb(group: Farm, cluster: Cluster, load: Load) -> dict[str, float]:
    """Every part fails once. Returns how long nobody was answered by what was done."""
    one, two, three = group.nodes
    silences = {}

    def during(what: str, began: float) -> None:
        load.answered()
        silences[what] = longest_silence(load.askers, began, time.monotonic())

    began = time.monotonic()
    one.kill()
    during("a node is killed", began)
    one.start()
    until("it is back", lambda: one.client.get("/v1/ready").status == 200, BACK_IN)
    caught_up_at(group)

    began = time.monotonic()
    two.end()
    two.start()
    during("a node is restarted", began)
    until("it is back", lambda: two.client.get("/v1/ready").status == 200, BACK_IN)

    (former,) = three.follower()
    kill(former)
    until("a follower is started", lambda: three.follower() not in ([], [former]), BACK_IN)
    caught_up_at(group)

    began = time.monotonic()
    cluster.stop()
    cluster.start()
    up = time.monotonic()
    during("PostgreSQL crashes", began)
    silences["after PostgreSQL is up"] = longest_silence(load.askers, up, time.monotonic())
    group.all_in(BACK_IN)
    return silences


def caught_up_at(group: Farm) -> None:
    """Whoever had the lease is gone, and somebody follows again: past what the log holds now."""
    for node in group.nodes:
        assert node.served is not None
        admin = node.served.admin
        wanted, _behind = standing(admin)

        def followed(admin: Client = admin, wanted: float = wanted) -> bool:
            head, behind = standing(admin)
            return head - behind >= wanted

        until("the read models are followed", followed, BACK_IN, 0.1)


def standing(admin: Client) -> tuple[float, float]:
    """The log's head, and by how much the last of the read models is behind it."""
    text = admin.get("/metrics").raw.decode()
    (head,) = re.findall(r"^gatebook_log_head (\S+)", text, re.MULTILINE)
    behind = re.findall(r"^gatebook_projection_lag\{.*\} (\S+)", text, re.MULTILINE)
    return float(head), max(map(float, behind))


def run(directory: Path, rounds: int) -> None:
    with running_cluster() as cluster, farm(directory, cluster.url()) as group:
        group.all_in()
        load = Load(group)
        began = time.monotonic()
        load.start()
        try:
            time.sleep(1.0)
            for _ in range(rounds):
                silences = disturb(group, cluster, load)
                print("\nnobody was answered for", {k: round(v, 2) for k, v in silences.items()})
                assert max(silences.values()) < BACK_IN
        finally:
            load.end()
        load.check()
        for writer in load.writers:
            writer.settle(group.front, load.admin)
        seconds = time.monotonic() - began
        for node in group.nodes:
            assert node.served is not None
            caught_up(node.served, 30)
        check_nodes_agree(group, load)
        for node in group.nodes:
            node.end()
            assert "Traceback" not in node.deployment.log()
        with house_of(group.nodes[0].deployment) as house:
            recorded = check_store(house)
    missing, _unasked = lost(recorded, load.writers)
    print(
        f"{sum(w.acknowledged for w in load.writers)} acknowledged writes of the writers, "
        f"{sum(w.repeated for w in load.writers)} repeated, {missing} lost; "
        f"{sum(a.rounds for a in load.askers[:-1])} revocations and {load.askers[-1].rounds} "
        f"validations, {sum(a.asked for a in load.askers)} answers compared, 0 wrong; "
        f"{len(recorded)} events in {seconds:.0f} s"
    )
    assert missing == 0
    assert all(asker.rounds > 5 for asker in load.askers)


def check_nodes_agree(group: Farm, load: Load) -> None:
    """Each node shows each account as its writer was told it is."""
    for node in group.nodes:
        admin: Client = node.client.with_token(load.admin.token)
        for writer in load.writers:
            for person in writer.people[-5:]:
                shown = admin.get(f"/v1/accounts/{person.id}").body
                assert [shown[name] for name in ("username", "status", "roles")] == [
                    person.username,
                    person.status,
                    person.roles,
                ]


def test_three_nodes_of_which_each_fails_once(tmp_path: Path) -> None:
    """No answered write is lost, no ended token is accepted anywhere, all is back by itself."""
    run(tmp_path, 1)


@pytest.mark.skipif(not LONG, reason="takes minutes: ./run test-long")
def test_three_nodes_that_fail_again_and_again(tmp_path: Path) -> None:
    """The same, five times over."""
    run(tmp_path, 5)
