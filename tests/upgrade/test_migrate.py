"""The schema moves on step by step, whatever is killed; other programs say what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatebook.store.faults import SchemaMismatch
from gatebook.store.house import open_house
from gatebook.store.log_reader import LogTransaction
from gatebook.store.migration import migrate, opened, standing, transaction
from gatebook.store.settings import Settings
from tests.api.served import Deployment
from tests.system.evidence import check_store, house_of
from tests.upgrade.conftest import Cli
from tests.upgrade.stepping import STEPS, TARGET


def url_of(deployment: Deployment) -> str:
    return Settings.load(deployment.config, {}).store_url


@contextmanager
def writing(deployment: Deployment) -> Iterator[LogTransaction]:
    """A transaction on the store, whatever its version."""
    with opened(url_of(deployment)) as session, transaction(session) as tx:
        yield tx


def set_version(deployment: Deployment, version: int) -> None:
    with writing(deployment) as tx:
        tx.execute("UPDATE schema SET version = ?", (version,))


def test_a_migration_that_is_killed_goes_on(deployment: Deployment) -> None:
    """kill -9 in the second step keeps the first, leaves nothing of the second; then both are."""
    url = url_of(deployment)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.upgrade.stepping", url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1 -> 2\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)  # in the midst of the second step
        process.kill()
        process.wait(10)

    assert standing(url, TARGET).pending == 1
    with writing(deployment) as tx:
        assert tx.query("SELECT n FROM first") == [(1,)]
        named = "sqlite_schema WHERE name" if tx.dialect == "sqlite" else "pg_class WHERE relname"
        assert tx.query(f"SELECT count(*) FROM {named} = 'second'") == [(0,)]

    told: list[tuple[int, int]] = []
    before = migrate(url, lambda a, b, _s: told.append((a, b)), steps=STEPS, target=TARGET)

    assert (before.stored, told) == (2, [(2, 3)])
    with writing(deployment) as tx:
        assert tx.query("SELECT count(*), max(n) FROM second") == [(2_000_000, 2_000_000)]
        assert tx.query("SELECT count(*) FROM first") == [(0,)]
        tx.execute("UPDATE schema SET version = 1")
    with house_of(deployment) as house:
        check_store(house)


def test_a_second_migration_has_nothing_to_do(deployment: Deployment, cli: Cli) -> None:
    """A store of this program's version is left as it is, and that is said."""
    code, said, _ = cli("store", "migrate")
    assert (code, "nothing to do" in said) == (0, True)
    code, said, _ = cli("--json", "store", "schema")
    assert (code, json.loads(said)) == (0, {"stored": 1, "program": 1, "steps": 0})


@pytest.mark.parametrize(
    "words", ["serve", "account list", "store migrate", "store info", "store verify"]
)
def test_a_store_of_a_newer_program_is_refused(
    deployment: Deployment, cli: Cli, words: str
) -> None:
    """An older program ends with code 78, naming both versions, and changes nothing."""
    set_version(deployment, 2)

    code, said, errors = cli(*words.split())

    assert (code, said) == (78, "")
    assert "version 2" in errors
    assert "needs 1" in errors
    assert "newer program" in errors
    assert len(errors.splitlines()) == 1
    code, said, _ = cli("--json", "store", "schema")
    assert (code, json.loads(said)["stored"]) == (1, 2)


def test_a_way_that_is_missing_is_refused(deployment: Deployment) -> None:
    """Without steps to the target nothing is done at all."""
    with pytest.raises(SchemaMismatch):
        migrate(url_of(deployment), lambda *_: None, steps={}, target=2)
    assert standing(url_of(deployment)).stored == 1


def test_the_number_is_forced_only_loudly(deployment: Deployment, cli: Cli) -> None:
    """Without --yes nothing happens; with it the number stands, and who said so is in the log."""
    set_version(deployment, 7)

    code, _, errors = cli("store", "force-version", "1")
    assert code == 2
    assert "WARNING" in errors
    assert standing(url_of(deployment)).stored == 7

    code, said, errors = cli("--yes", "--json", "store", "force-version", "1")
    assert (code, json.loads(said)) == (0, {"former": 7, "version": 1, "program": 1})
    assert "all servers stopped?" in errors

    house = open_house(Settings.load(deployment.config, {}))
    try:
        house.prepare()
        recorded = check_store(house)
    finally:
        house.close()
    assert recorded[-1].topic == "store.schema_forced.1"
    assert (recorded[-1].event.former, recorded[-1].event.version) == (7, 1)
    assert recorded[-1].metadata.actor.type == "local"
    assert cli("account", "list")[0] == 0
