"""kill -9 at any moment, with writes in flight: what was answered is there, nothing is half there.

The same loop on both stores. Each writer repeats the request that was cut off, under the same
Idempotency-Key, as soon as a server answers again.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

from gatebook.domain import idempotency
from gatebook.domain.envelope import Recorded
from tests.api.served import ADMIN, ADMIN_PASSWORD, Client, Deployment, Served
from tests.system.conftest import IN_CI
from tests.system.deeds import Writer
from tests.system.evidence import caught_up, check_store, house_of, lost
from tests.system.family import children, kill, kill_all, replaced

ROUNDS = 8 if IN_CI else 4
WRITERS = 6


def test_nothing_answered_is_lost_and_nothing_is_half_there(fresh: Deployment) -> None:
    """Over many kills, log, read models and API agree with every answer given."""
    began = time.monotonic()
    dice = random.Random(fresh.config.read_text())
    writers = [Writer(number) for number in range(WRITERS)]
    token = ""
    for number in range(ROUNDS):
        with fresh.served() as served:
            token = token or served.token(ADMIN, ADMIN_PASSWORD)
            admin = served.client.with_token(token)
            _round(served, admin, writers, dice, part=number % 3)
            assert [writer.trouble for writer in writers] == [[]] * WRITERS
        if number % 5 == 4:
            with house_of(fresh) as house:
                check_store(house)
    with fresh.served() as served:
        _settled(served, served.client.with_token(token), writers)
    with house_of(fresh) as house:
        recorded = check_store(house)
    missing, unasked = lost(recorded, writers)
    check_unasked(recorded, writers, unasked)
    acknowledged = sum(writer.acknowledged for writer in writers)
    print(
        f"\n{ROUNDS} kills, {acknowledged} acknowledged writes, {sum(w.repeated for w in writers)}"
        f" repeated, {missing} lost, {len(recorded)} events, {time.monotonic() - began:.0f} s"
    )
    assert missing == 0
    assert acknowledged > 10 * ROUNDS
    assert "Traceback" not in fresh.log()


def _round(
    served: Served, admin: Client, writers: list[Writer], dice: random.Random, *, part: int
) -> None:
    """Lets everybody write, kills a worker (1) or the follower (2) first, then everything."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=writer.run, args=(served.client, admin, stop)) for writer in writers
    ]
    for thread in threads:
        thread.start()
    try:
        time.sleep(dice.uniform(0.1, 1.0))
        if part:
            kind = "worker" if part == 1 else "follower"
            before = children(served, kind)
            kill(dice.choice(before))
            replaced(served, kind, before)
        kill_all(served)
    finally:
        stop.set()
        for thread in threads:
            thread.join(45)
    assert not any(thread.is_alive() for thread in threads)


def _settled(served: Served, admin: Client, writers: list[Writer]) -> None:
    """After the last kill: what was cut off is done once, and every answer is as it was."""
    for writer in writers:
        writer.settle(served.client, admin)
        for person in writer.people:
            shown = admin.get(f"/v1/accounts/{person.id}")
            assert shown.status == 200, shown.raw
            told = {name: shown.body[name] for name in ("username", "status", "roles")}
            expected = {"username": person.username, "status": person.status, "roles": person.roles}
            assert expected == told
        for deed, answer in list(writer.answers.values())[-20:]:
            speaker = served.client if deed.path.startswith("/v1/auth") else admin
            again = speaker.post(deed.path, deed.body, headers={"Idempotency-Key": deed.key})
            assert (answer.status, answer.raw) == (again.status, again.raw), deed.name
    caught_up(served)


def check_unasked(
    recorded: list[Recorded], writers: list[Writer], unasked: Counter[tuple[str, str]]
) -> None:
    """Nothing happened that nobody asked for, but for the first admin's seat."""
    assert len({owner for owner, _name in unasked}) == 1, f"nobody asked for this: {unasked}"
    assert {name for _account, name in unasked} == {"create", "grant", "login"}
    done = sum(1 for each in recorded if isinstance(each.event, idempotency.CommandDone))
    assert done == sum(len(writer.answers) for writer in writers)
